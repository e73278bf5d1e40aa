package main

import (
	"fmt"
	"io"
	"net"
	"strings"
)

// Ping-pong and blaster are the limits: requests prepared beforehand, replies
// counted by their bytes, no client in between.

// exchange is what an operation sends, and how many bytes answer it.
type exchange func(w workload, keys []string, store bool) (request string, reply int)

// openPingPong gives every goroutine a connection of its own with one classic
// request in flight: what a pool could reach at best.
func openPingPong(cell cell) (runner, error) {
	return openRaw(cell, cell.goroutines, 1, classic)
}

// openBlaster keeps as many meta requests in flight as there are goroutines,
// in one write per connection: what a pipeline could reach at best.
func openBlaster(cell cell) (runner, error) {
	conns := min(cell.goroutines, cell.blasterConns)
	return openRaw(cell, conns, cell.goroutines/conns, meta)
}

func classic(w workload, keys []string, store bool) (request string, reply int) {
	if store {
		return fmt.Sprintf("set %s 0 0 %d\r\n%s\r\n", keys[0], w.size, w.value()), len("STORED\r\n")
	}
	reply = len("END\r\n")
	for _, key := range keys {
		if w.kind != getMiss {
			reply += len(fmt.Sprintf("VALUE %s 0 %d\r\n\r\n", key, w.size)) + w.size
		}
	}
	return "get " + strings.Join(keys, " ") + "\r\n", reply
}

func meta(w workload, keys []string, store bool) (request string, reply int) {
	if store {
		return fmt.Sprintf("ms %s %d\r\n%s\r\n", keys[0], w.size, w.value()), len("HD\r\n")
	}
	for _, key := range keys {
		request += "mg " + key + " v\r\n"
		if w.kind == getMiss {
			reply += len("EN\r\n")
		} else {
			reply += len(fmt.Sprintf("VA %d\r\n\r\n", w.size)) + w.size
		}
	}
	return request, reply
}

// openRaw opens conns connections with window requests in flight on each, to
// one server.
func openRaw(cell cell, conns, window int, bytes exchange) (runner, error) {
	if len(cell.addrs) != 1 {
		return nil, nil
	}
	s := stepper{}
	var open []net.Conn
	s.end = func() {
		for _, nc := range open {
			nc.Close()
		}
	}
	for i := range conns {
		nc, err := dial(cell.addrs[0])
		if err != nil {
			s.close()
			return nil, err
		}
		open = append(open, nc)
		if i == 0 {
			if err := rawLoad(nc, cell.workload); err != nil {
				s.close()
				return nil, err
			}
		}
		s.steps = append(s.steps, rawStep(nc, cell.workload, i*len(cell.keys())/conns, window, bytes))
	}
	return s, nil
}

// maxBlast bounds the bytes of requests in one write: a server that waits for its
// replies to be read reads no more.
const maxBlast = 256 << 10

// blast is what goes out in one write.
type blast struct {
	requests   []byte
	operations int
	replies    int // bytes
}

// rawStep writes up to window requests and reads the bytes of their replies.
func rawStep(nc net.Conn, w workload, start, window int, bytes exchange) step {
	keys := w.keys()
	blasts := make([]blast, 10) // of one operation each, in a mix: one is a set
	turn := 0
	for i := range blasts {
		b := &blasts[i]
		for ; b.operations < window && len(b.requests) < maxBlast; b.operations++ {
			turn++
			at := (start + turn*max(w.batch, 1)) % (len(keys) - w.batch)
			request, reply := bytes(w, keys[at:at+max(w.batch, 1)], w.stores(turn))
			b.requests, b.replies = append(b.requests, request...), b.replies+reply
		}
	}
	buf := make([]byte, 256<<10)
	next := 0
	return func() (int, error) {
		b := &blasts[next%len(blasts)]
		next++
		if _, err := nc.Write(b.requests); err != nil {
			return 0, err
		}
		n := 0
		for left := b.replies; left > 0; left -= n {
			var err error
			if n, err = nc.Read(buf[:min(left, len(buf))]); err != nil {
				return 0, err
			}
		}
		if buf[n-1] != '\n' {
			return 0, errWrong // another reply than was counted on
		}
		return b.operations, nil
	}
}

// rawLoad stores what w reads.
func rawLoad(nc net.Conn, w workload) error {
	if w.kind == getMiss {
		return nil
	}
	value, reply := w.value(), make([]byte, len("STORED\r\n"))
	for _, key := range w.keys() {
		if _, err := fmt.Fprintf(nc, "set %s 0 0 %d\r\n%s\r\n", key, len(value), value); err != nil {
			return err
		}
		if _, err := io.ReadFull(nc, reply); err != nil || string(reply) != "STORED\r\n" {
			return fmt.Errorf("set: %q, %v", reply, err)
		}
	}
	return nil
}

func dial(addr string) (net.Conn, error) {
	if strings.HasPrefix(addr, "/") {
		return net.Dial("unix", addr)
	}
	return net.Dial("tcp", addr)
}
