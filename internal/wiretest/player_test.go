package wiretest

import (
	"context"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/seed99545744/msm/internal/memnet"
)

func pipe(t *testing.T) (client, server net.Conn) {
	t.Helper()
	var n memnet.Network
	l, err := n.Listen("")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	client, err = n.DialContext(context.Background(), "", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	server, err = l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	for _, nc := range []net.Conn{client, server} {
		nc.SetDeadline(time.Now().Add(10 * time.Second))
		t.Cleanup(func() { nc.Close() })
	}
	return client, server
}

// A client that is told something else says where and what.
func TestMismatch(t *testing.T) {
	tests := []struct {
		name, transcript, sent string
		want                   []string // in the error
	}{
		{"another word", "< STORED", "STARED\r\n", []string{":1: < STORED:", `got "STARED\r\n"`}},
		{"too short", "< STORED", "STO", []string{`got "STO"`, "EOF"}},
		{"too much", "< STORED", "STORED\r\nEND\r\n", []string{"after the last line", `got "END\r\n"`}},
		{"no number", "< VALUE {n:a}", "VALUE x\r\n", []string{"{n:a}"}},
		{"number changed", "< {n:a}\n< {n:a}", "1\r\n2\r\n", []string{":2:", "a = 1"}},
		{"no word", "< {w:}", " \r\n", []string{"{w:}"}},
		{"hexadecimal", "<x 81 0a", "\x81\x0b", []string{`got "\x81\v"`}},
		{"eight bytes", "<x {n:}", "1234567", []string{"8 bytes"}},
		{"end", "<eof", "x", []string{"want the end"}},
		{"no value", "> get {w:a}", "", []string{":1:", "{w:a} has no value yet"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tr, err := Parse("t", strings.NewReader(tt.transcript))
			if err != nil {
				t.Fatal(err)
			}
			client, server := pipe(t)
			if _, err := server.Write([]byte(tt.sent)); err != nil {
				t.Fatal(err)
			}
			server.Close()
			err = Player{}.Play(tr, client)
			if err == nil {
				t.Fatal("got no error")
			}
			for _, want := range tt.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("got %q, want %q in it", err, want)
				}
			}
		})
	}
}

// A client sends back what it was told, as text and as bytes.
func TestPlaceholders(t *testing.T) {
	const transcript = "< c {n:a}\n> C{n:a}\n<x {n:b}\n>x 00 {n:b}\n>> k{x3}\\x00"
	tr, err := Parse("t", strings.NewReader(transcript))
	if err != nil {
		t.Fatal(err)
	}
	client, server := pipe(t)
	server.Write([]byte("c 258\r\n\x00\x00\x00\x00\x00\x00\x01\x03"))
	server.(*memnet.Conn).CloseWrite()
	if err := (Player{}).Play(tr, client); err != nil {
		t.Fatal(err)
	}
	const want = "C258\r\n\x00\x00\x00\x00\x00\x00\x00\x01\x03kkk\x00"
	got := make([]byte, 100)
	n, err := server.Read(got)
	if string(got[:n]) != want {
		t.Errorf("got %q, %v; want %q", got[:n], err, want)
	}
}

func TestParseErrors(t *testing.T) {
	tests := []struct{ name, text string }{
		{"no mark", "set k 0 0 1"},
		{"unknown mark", ">y 80"},
		{"odd digits", ">x 8"},
		{"unknown escape", `> \q`},
		{"repeated zero times", "> k{x0}"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := Parse("t", strings.NewReader("# first\n"+tt.text))
			if err == nil || !strings.HasPrefix(err.Error(), "t:2:") {
				t.Errorf("got %v, want an error of line 2", err)
			}
		})
	}
}
