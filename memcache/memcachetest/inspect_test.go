package memcachetest

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestInspect(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := NewMemServer()
		defer s.Close()
		c := dial(t, s)
		c.nc.SetDeadline(time.Time{})
		now := time.Now()
		c.want("set a 7 10 1\r\nA\r\nms b 1\r\nB\r\nmd b I\r\n", "STORED\r\nHD\r\nHD\r\n")
		value := []byte("mine")
		s.SetItem(Item{Key: "c", Value: value, Flags: 9, Expires: now.Add(time.Hour), CAS: 99, Stale: true})
		value[0] = 'X' // the server has a copy

		want := []Item{
			{Key: "c", Value: []byte("mine"), Flags: 9, Expires: now.Add(time.Hour), CAS: 4},
			{Key: "b", Value: []byte("B"), CAS: 3, Stale: true},
			{Key: "a", Value: []byte("A"), Flags: 7, Expires: now.Add(10 * time.Second), CAS: 1},
		}
		if diff := cmp.Diff(want, s.Items()); diff != "" {
			t.Errorf("Items (-want +got):\n%s", diff)
		}
		for _, it := range want {
			got, ok := s.Get(it.Key)
			if diff := cmp.Diff(it, got); diff != "" || !ok {
				t.Errorf("Get(%s) = %v (-want +got):\n%s", it.Key, ok, diff)
			}
			got.Value[0]++ // ours
		}
		c.want("get c\r\n", "VALUE c 9 4\r\nmine\r\nEND\r\n")

		time.Sleep(10 * time.Second)
		if got := s.Len(); got != 2 {
			t.Errorf("got %d items after one expired, want 2", got)
		}
		if s.Delete("a") || !s.Delete("b") || s.Delete("b") {
			t.Error("Delete: want false for what is gone, true once for the rest")
		}
		s.Flush()
		if got := s.Items(); got != nil {
			t.Errorf("got %v after Flush, want nothing", got)
		}
	})
}

func TestTraffic(t *testing.T) {
	onEach(t, func(t *testing.T, s *Server) {
		const ascii = "set k 0 0 1\r\nv\r\nget k\r\nget k\r\nmg k v\r\nbogus\r\n\r\nmn\r\n"
		c := dial(t, s)
		const replies = "STORED\r\nVALUE k 0 1\r\nv\r\nEND\r\nVALUE k 0 1\r\nv\r\nEND\r\nVA 1\r\nv\r\nERROR\r\nERROR\r\nMN\r\n"
		c.want(ascii, replies)
		s.SetFault(Fault{Fail: "ERROR"})
		b := dial(t, s)
		bin := packet(0x0d, "nope", "", "") + packet(0x77, "", "", "")
		b.want(bin, answer(0x0d, statusUnknown, "ERROR"))
		want := Traffic{
			Conns:    2,
			Open:     2,
			Received: int64(len(ascii) + len(bin)),
			Sent:     int64(len(replies) + 2*len(answer(0, 0, "ERROR"))),
			Commands: map[string]int{"set": 1, "get": 2, "mg": 1, "unknown": 3, "mn": 1, "getkq": 1},
		}
		b.want("", answer(0x77, statusUnknown, "ERROR"))
		got := s.Traffic()
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("-want +got:\n%s", diff)
		}
		if got.Total() != 9 {
			t.Errorf("got %d commands, want 9", got.Total())
		}
		got.Commands["get"]++ // ours
		if n := s.Traffic().Commands["get"]; n != 2 {
			t.Errorf("got %d gets, want 2", n)
		}
	})
}
