package wiretest

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"syscall"
)

// maxChunks bounds the small writes between two lines of the server.
const maxChunks = 4096

// Player plays the client of transcripts. The zero Player sends the lines between
// two of the server at once.
type Player struct {
	// Chunk is the number of bytes that one write carries at most, as long as a
	// text is not so long that it would take for ever; 0 means any number.
	Chunk int
}

// conversation is one transcript being played.
type conversation struct {
	nc    net.Conn
	r     *bufio.Reader
	chunk int
	out   []byte // said and not yet sent
	names map[string]string
}

// Play sends what the client says and compares what comes back. At the end it
// closes its side and wants the connection to end without another byte. The
// deadline of nc is the caller's.
func (p Player) Play(t *Transcript, nc net.Conn) error {
	c := &conversation{nc: nc, r: bufio.NewReader(nc), chunk: p.Chunk, names: make(map[string]string)}
	for i := range t.lines {
		l := &t.lines[i]
		if err := c.turn(l); err != nil {
			return fmt.Errorf("%s:%d: %s: %w", t.Name, l.number, l.text, err)
		}
		if l.eof {
			return nil
		}
	}
	if err := c.hangUp(); err != nil {
		return fmt.Errorf("%s: after the last line: %w", t.Name, err)
	}
	return nil
}

func (c *conversation) turn(l *line) error {
	if l.client {
		return c.say(l)
	}
	err := c.send()
	switch {
	case l.eof && isGone(err): // it closed before all was sent
		return nil
	case err != nil:
		return err
	case l.eof:
		return c.awaitEnd()
	}
	return c.hear(l)
}

// isGone tells the errors of a connection that the server has closed with bytes
// of ours unread.
func isGone(err error) bool {
	return errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}

// hangUp sends what is left to send, closes this side and waits for the other.
func (c *conversation) hangUp() error {
	if err := c.send(); err != nil {
		return err
	}
	if w, ok := c.nc.(interface{ CloseWrite() error }); ok {
		if err := w.CloseWrite(); err != nil {
			return err
		}
	}
	return c.awaitEnd()
}

// awaitEnd wants the connection to end without another byte.
func (c *conversation) awaitEnd() error {
	rest, err := io.ReadAll(c.r)
	switch {
	case len(rest) > 0:
		return fmt.Errorf("got %q, want the end", rest)
	case isGone(err):
		return nil
	}
	return err
}

// say adds a line to what is sent next.
func (c *conversation) say(l *line) error {
	for _, p := range l.parts {
		b, err := c.bytes(l, p)
		if err != nil {
			return err
		}
		c.out = append(c.out, b...)
	}
	return nil
}

// send sends what was said since the server was heard: at once, as a client
// does that pipelines its commands.
func (c *conversation) send() error {
	out := c.out
	c.out = c.out[:0]
	for writes := 0; len(out) > 0; writes++ {
		n := len(out)
		if c.chunk > 0 && writes < maxChunks {
			n = min(n, c.chunk)
		}
		if _, err := c.nc.Write(out[:n]); err != nil {
			return err
		}
		out = out[n:]
	}
	return nil
}

// bytes returns what a part is on the wire.
func (c *conversation) bytes(l *line, p part) ([]byte, error) {
	if p.kind == 0 {
		return p.literal, nil
	}
	value, ok := c.names[p.name]
	switch {
	case !ok:
		return nil, fmt.Errorf("{%c:%s} has no value yet: the server must have said it before", p.kind, p.name)
	case !l.hex:
		return []byte(value), nil
	}
	n, err := strconv.ParseUint(value, 10, 64)
	return binary.BigEndian.AppendUint64(nil, n), err
}

func (c *conversation) hear(l *line) error {
	var got []byte
	for _, p := range l.parts {
		b, err := c.hearPart(l, p)
		got = append(got, b...)
		if err != nil {
			rest, _ := c.r.Peek(c.r.Buffered())
			return fmt.Errorf("got %q, want %w", append(got, rest...), err)
		}
	}
	return nil
}

// hearPart reads one part; the error says what was wanted.
func (c *conversation) hearPart(l *line, p part) ([]byte, error) {
	switch {
	case p.kind == 0:
		return c.hearLiteral(p.literal)
	case l.hex:
		b := make([]byte, 8)
		if n, err := io.ReadFull(c.r, b); err != nil {
			return b[:n], fmt.Errorf("8 bytes: %w", err)
		}
		return b, c.learn(p.name, strconv.FormatUint(binary.BigEndian.Uint64(b), 10))
	}
	inside := func(b byte) bool { return b > ' ' }
	if p.kind == 'n' {
		inside = func(b byte) bool { return '0' <= b && b <= '9' }
	}
	var word []byte
	for {
		b, err := c.r.ReadByte()
		switch {
		case err != nil:
			return word, fmt.Errorf("more: %w", err)
		case inside(b):
			word = append(word, b)
			continue
		}
		c.r.UnreadByte() // cannot fail after ReadByte
		if len(word) == 0 {
			return word, fmt.Errorf("{%c:%s}", p.kind, p.name)
		}
		return word, c.learn(p.name, string(word))
	}
}

func (c *conversation) hearLiteral(want []byte) (got []byte, err error) {
	for _, w := range want {
		b, err := c.r.ReadByte()
		if err != nil {
			return got, fmt.Errorf("%q: %w", want, err)
		}
		got = append(got, b)
		if b != w {
			return got, fmt.Errorf("%q", want)
		}
	}
	return got, nil
}

// learn keeps a value, or compares it with the one that the name has.
func (c *conversation) learn(name, value string) error {
	if known, ok := c.names[name]; ok && known != value {
		return fmt.Errorf("%s = %s", name, known)
	}
	if name != "" {
		c.names[name] = value
	}
	return nil
}
