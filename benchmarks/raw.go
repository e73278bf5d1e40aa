package main

import (
	"fmt"
	"io"
	"net"
	"strings"
)

// Ping-pong and blaster are the limits: requests prepared beforehand, replies
// counted by their bytes, no client in between.

// openPingPong gives every goroutine a connection of its own with one classic
// request in flight: what a pool could reach at best.
func openPingPong(cell cell) (runner, error) {
	return openRaw(cell, cell.goroutines, 1, "get %s\r\n", func(key string) int {
		if cell.kind == getMiss {
			return len("END\r\n")
		}
		return len(fmt.Sprintf("VALUE %s 0 %d\r\n", key, cell.size)) + cell.size + len("\r\nEND\r\n")
	})
}

// openBlaster keeps as many meta requests in flight as there are goroutines,
// in one write per connection: what a pipeline could reach at best.
func openBlaster(cell cell) (runner, error) {
	conns := min(cell.goroutines, cell.blasterConns)
	return openRaw(cell, conns, cell.goroutines/conns, "mg %s v\r\n", func(string) int {
		if cell.kind == getMiss {
			return len("EN\r\n")
		}
		return len(fmt.Sprintf("VA %d\r\n", cell.size)) + cell.size + len("\r\n")
	})
}

// openRaw opens conns connections with window requests in flight on each.
// It cannot do workloads other than gets on one server.
func openRaw(cell cell, conns, window int, request string, replyLen func(key string) int) (runner, error) {
	if cell.kind != get && cell.kind != getInto && cell.kind != getMiss || len(cell.addrs) != 1 {
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
		s.steps = append(s.steps, rawStep(nc, cell.keys(), i, window, request, replyLen))
	}
	return s, nil
}

// rawStep writes window requests and reads the bytes of their replies.
func rawStep(nc net.Conn, keys []string, start, window int, request string, replyLen func(key string) int) step {
	var out strings.Builder
	in := 0
	for i := range window {
		key := keys[(start+i)%len(keys)]
		fmt.Fprintf(&out, request, key)
		in += replyLen(key)
	}
	requests, replies := []byte(out.String()), make([]byte, min(in, 256<<10))
	return func() (int, error) {
		if _, err := nc.Write(requests); err != nil {
			return 0, err
		}
		for left := in; left > 0; {
			n, err := nc.Read(replies[:min(left, len(replies))])
			if err != nil {
				return 0, err
			}
			left -= n
		}
		return window, nil
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
