package mux_test

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/seed99545744/msm/internal/proto"
)

// hostile is a server of the stress test, on one connection. It stores nothing:
// what it returns for a key is value of it, or a miss.
type hostile struct {
	*stress
	nc  net.Conn
	r   *bufio.Reader
	rng *rand.Rand
}

// errHungUp ends a server that has closed its connection.
var errHungUp = fmt.Errorf("hung up: %w", net.ErrClosed)

func serve(s *stress, nc net.Conn, rng *rand.Rand) {
	defer nc.Close()
	h := &hostile{stress: s, nc: nc, r: bufio.NewReader(nc), rng: rng}
	next := h.text
	if _, ok := s.codec.(proto.Binary); ok {
		next = h.packet
	}
	for {
		if err := next(); err != nil {
			return // the client, or this server, has had enough
		}
	}
}

// one reports true once in n times; never if n is 0.
func (h *hostile) one(n int) bool { return n > 0 && h.rng.IntN(n) == 0 }

// rest is what a slow server does, until the test is over at most. Most runs are
// in a bubble, where time costs nothing; those over sockets measure none.
func (h *hostile) rest(d time.Duration) {
	select {
	case <-h.Context().Done():
	case <-time.After(d):
	}
}

// pause rests for a time up to most.
func (h *hostile) pause(most time.Duration) { h.rest(time.Duration(h.rng.Int64N(int64(most)))) }

// say sends a reply, in the server's own time.
func (h *hostile) say(reply []byte) error {
	switch {
	case h.one(h.temper.hang):
		h.rest(h.moment + h.moment/4)
	case h.one(h.temper.stall):
		h.pause(h.moment / 2)
	case h.one(h.temper.pause):
		h.pause(h.moment / 50)
	}
	if h.one(h.temper.twice) {
		reply = append(bytes.Clone(reply), reply...)
	}
	if h.one(h.temper.drop) {
		h.nc.Write(reply[:h.rng.IntN(len(reply)+1)])
		return errHungUp
	}
	if h.one(h.temper.pieces) {
		for range h.rng.IntN(5) {
			n := h.rng.IntN(len(reply) + 1)
			if _, err := h.nc.Write(reply[:n]); err != nil {
				return err
			}
			reply = reply[n:]
			h.pause(h.moment / 100)
		}
	}
	_, err := h.nc.Write(reply)
	return err
}

// find returns a value of key, or none, or by malice that of another key.
func (h *hostile) find(key string) (name string, v []byte, ok bool) {
	if h.one(4) {
		return key, nil, false
	}
	if h.one(h.temper.foreign) {
		key += "-foreign"
	}
	n := h.rng.IntN(1000)
	switch h.rng.IntN(30) {
	case 0:
		n = h.rng.IntN(300 << 10)
	case 1, 2, 3:
		n = 14<<10 + h.rng.IntN(6<<10)
	}
	return key, value(key, n), true
}

// take reads a value that is to be stored. It may refuse it before it has.
func (h *hostile) take(key string, size int, refusal []byte) (stored bool, err error) {
	if refused := h.one(h.temper.refuse); refused {
		if err := h.say(refusal); err != nil {
			return false, err
		}
		if h.one(h.temper.deaf) {
			h.rest(8 * h.moment)
			return false, errHungUp
		}
		_, err := io.CopyN(io.Discard, h.r, int64(size))
		return false, err
	}
	got := make([]byte, size)
	if _, err := io.ReadFull(h.r, got); err != nil {
		return false, err
	}
	if !bytes.Equal(got, value(key, size)) {
		h.fail("the server was sent %d bytes for %s, which are not what its caller has set", size, key)
	}
	return true, nil
}

// text serves one line of the ASCII protocols.
func (h *hostile) text() error {
	line, err := h.r.ReadString('\n')
	if err != nil {
		return err
	}
	f := strings.Fields(line)
	meta := len(f) > 2 && len(f[0]) == 2
	var opaque string
	if meta {
		if opaque = f[len(f)-1]; opaque[0] != 'O' {
			h.fail("no opaque in %q", line)
			return errHungUp
		}
	}
	switch f[0] {
	case "mn":
		return h.say([]byte("MN\r\n"))
	case "mg":
		return h.metaGet(f, opaque)
	case "ms":
		size, _ := strconv.Atoi(f[2])
		return h.store(f[1], size, "HD c1 "+opaque+"\r\n")
	case "md":
		return h.say([]byte("HD " + opaque + "\r\n"))
	case "gets":
		return h.gets(f[1:])
	case "set":
		size, _ := strconv.Atoi(f[4])
		return h.store(f[1], size, "STORED\r\n")
	case "delete":
		return h.say([]byte("DELETED\r\n"))
	}
	h.fail("the server was sent %.80q", line)
	return errHungUp
}

func (h *hostile) store(key string, size int, done string) error {
	stored, err := h.take(key, size, []byte("SERVER_ERROR object too large for cache\r\n"))
	if err != nil {
		return err
	}
	if end, err := h.r.ReadString('\n'); err != nil || end != "\r\n" {
		if err == nil {
			h.fail("the server was sent %.80q behind a value", end)
		}
		return errHungUp
	}
	if !stored {
		return nil
	}
	return h.say([]byte(done))
}

func (h *hostile) metaGet(f []string, opaque string) error {
	key, v, ok := h.find(f[1])
	if !ok {
		if strings.Contains(strings.Join(f, " "), " q ") {
			return nil
		}
		return h.say([]byte("EN " + opaque + "\r\n"))
	}
	if key != f[1] {
		opaque += "9"
	}
	reply := fmt.Appendf(nil, "VA %d f0 c1 t-1 %s\r\n", len(v), opaque)
	return h.say(append(append(reply, v...), "\r\n"...))
}

func (h *hostile) gets(keys []string) error {
	var reply []byte
	for _, key := range keys {
		if key, v, ok := h.find(key); ok {
			reply = fmt.Appendf(reply, "VALUE %s 0 %d 1\r\n%s\r\n", key, len(v), v)
		}
	}
	return h.say(append(reply, "END\r\n"...))
}

// packet serves one packet of the binary protocol.
func (h *hostile) packet() error {
	var head [24]byte
	if _, err := io.ReadFull(h.r, head[:]); err != nil {
		return err
	}
	be := binary.BigEndian
	rest := make([]byte, int(head[4])+int(be.Uint16(head[2:])))
	if _, err := io.ReadFull(h.r, rest); err != nil {
		return err
	}
	key := string(rest[head[4]:])
	size := int(be.Uint32(head[8:])) - len(rest)
	reply := func(status uint16, extras, key string, v []byte) []byte {
		out := [24]byte{0: 0x81, 1: head[1], 4: byte(len(extras))}
		be.PutUint16(out[2:], uint16(len(key)))
		be.PutUint16(out[6:], status)
		be.PutUint32(out[8:], uint32(len(extras)+len(key)+len(v)))
		copy(out[12:16], head[12:16])
		out[23] = 1
		return append(append(out[:], extras+key...), v...)
	}
	switch head[1] {
	case 0x00, 0x0c: // get, getk
		name, v, ok := h.find(key)
		if !ok {
			return h.say(reply(1, "", "", nil))
		}
		if name != key {
			head[12] ^= 0x40
		}
		if head[1] == 0x00 {
			name = ""
		}
		return h.say(reply(0, "\x00\x00\x00\x00", name, v))
	case 0x01: // set
		stored, err := h.take(key, size, reply(3, "", "", []byte("Too large.")))
		if err != nil || !stored {
			return err
		}
		return h.say(reply(0, "", "", nil))
	case 0x04: // delete
		return h.say(reply(0, "", "", nil))
	}
	h.fail("the server was sent opcode %#x", head[1])
	return errHungUp
}
