package mux_test

import (
	"context"
	"fmt"
	"slices"
	"testing"

	"github.com/seed99545744/msm/internal/mux"
)

// The answer to a call that was given up is not counted: its owner has counted
// that already.
func TestTally(t *testing.T) {
	var tally mux.Tally
	c, p := connect(t, mux.Config{Tally: &tally})
	ctx, cancel := context.WithCancel(context.Background())
	givenUp := get("given-up")
	if err := c.Start(ctx, givenUp); err != nil {
		t.Fatal(err)
	}
	cancel()
	if err := c.Wait(ctx, givenUp); err == nil {
		t.Fatal("an answer came from nowhere")
	}
	p.hit(p.line())

	for _, step := range []struct {
		call   *mux.Call
		answer func(line string)
	}{
		{get("four"), p.hit},
		{get("none"), func(line string) { fmt.Fprintf(p.nc, "EN %s\r\n", opaque(line)) }},
		{set("five", []byte("12345")), func(line string) {
			p.line()
			fmt.Fprintf(p.nc, "HD c1 %s\r\n", opaque(line))
		}},
		{set("full", []byte("123")), func(string) {
			p.line()
			fmt.Fprintf(p.nc, "SERVER_ERROR out of memory storing object\r\n")
		}},
	} {
		// Ends with the request of the call.
		go func() { step.answer(p.line()) }()
		mustDo(t, c, step.call)
	}
	got := []uint64{tally.Hits.Load(), tally.Misses.Load(), tally.Done.Load(), tally.Refused.Load(), tally.BytesRead.Load(), tally.BytesWritten.Load()}
	if want := []uint64{1, 1, 1, 1, 4, 5}; !slices.Equal(got, want) {
		t.Errorf("hits, misses, done, refused, bytes read and written: got %v, want %v", got, want)
	}
}
