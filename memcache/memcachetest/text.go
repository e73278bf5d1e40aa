package memcachetest

import (
	"bytes"
	"math"
)

// Limits of the ASCII protocol (protocol.txt, "Keys", "Meta Commands").
const (
	maxKey   = 250
	maxValue = math.MaxInt32 - 2
	maxAuth  = 16 << 10 // of the value that authenticates: memcached's read buffer
)

// Refusals that several commands share.
const (
	badFormat  = "CLIENT_ERROR bad command line format"
	badChunk   = "CLIENT_ERROR bad data chunk"
	badExptime = "CLIENT_ERROR invalid exptime argument"
	notANumber = "CLIENT_ERROR cannot increment or decrement non-numeric value"
	tooBig     = "SERVER_ERROR object too large for cache"
)

// textCommand reads and answers one command of the ASCII protocol.
func (c *conn) textCommand() error {
	line, err := c.readLine()
	if err != nil {
		return err
	}
	c.words = appendWords(c.words[:0], line)
	if !c.authenticated {
		return c.authenticate(c.words)
	}
	if len(c.words) == 0 {
		return c.run("", nil, nil)
	}
	name, args := string(c.words[0]), c.words[1:]
	switch name {
	case "set", "add", "replace", "append", "prepend", "cas":
		return c.store(name, args)
	case "ms":
		return c.metaSet(args)
	case "quit":
		c.srv.traffic.command(name)
		return errClose
	}
	return c.run(name, textHandler(name), args)
}

// appendWords splits a line at its blanks.
func appendWords(words [][]byte, line []byte) [][]byte {
	for {
		line = bytes.TrimLeft(line, " ")
		if len(line) == 0 {
			return words
		}
		end := bytes.IndexByte(line, ' ')
		if end < 0 {
			end = len(line)
		}
		words, line = append(words, line[:end]), line[end:]
	}
}

// handler answers a command that was read whole.
type handler func(c *conn, args [][]byte)

// textHandler returns what answers a command that carries no value; nil if
// there is no such command.
func textHandler(name string) handler {
	switch name {
	case "get", "gets":
		return func(c *conn, keys [][]byte) { c.get(keys, name == "gets") }
	case "gat", "gats":
		return func(c *conn, args [][]byte) { c.getAndTouch(args, name == "gats") }
	case "incr", "decr":
		return func(c *conn, args [][]byte) { c.incr(args, name == "decr") }
	case "delete":
		return (*conn).delete
	case "touch":
		return (*conn).touch
	case "flush_all":
		return (*conn).flushAll
	case "version":
		return func(c *conn, _ [][]byte) { c.say("VERSION " + version) }
	case "verbosity":
		return (*conn).verbosity
	case "stats":
		return (*conn).textStats
	case "shutdown":
		return func(c *conn, _ [][]byte) { c.say("ERROR: shutdown not enabled") }
	case "mn":
		return func(c *conn, _ [][]byte) { c.say("MN") }
	case "mg":
		return (*conn).metaGet
	case "md":
		return (*conn).metaDelete
	case "ma":
		return (*conn).metaArithmetic
	case "me":
		return (*conn).metaDebug
	}
	return nil
}

// run carries out a command that was read whole. Without a handler it is one
// that memcached does not know.
func (c *conn) run(name string, h handler, args [][]byte) error {
	if h == nil {
		name = "unknown"
	}
	c.srv.traffic.command(name)
	ok, err := c.begin(name)
	switch {
	case !ok:
	case h == nil:
		c.say("ERROR")
	default:
		h(c, args)
	}
	return err
}

// begin waits until the command of that name may be executed; not ok means that
// a fault has answered it.
func (c *conn) begin(name string) (ok bool, err error) {
	if err := c.admit(); err != nil {
		return false, err
	}
	if c.fault.fails(name) {
		c.say(c.fault.Fail)
		return false, nil
	}
	return true, nil
}

// say answers with a line.
func (c *conn) say(line string) {
	c.out = append(c.out, line...)
	c.out = append(c.out, "\r\n"...)
}

// noReply tells whether the last argument says that no answer is wanted.
func noReply(args [][]byte) bool {
	return len(args) > 0 && string(args[len(args)-1]) == "noreply"
}

// answer is say, unless args end with noreply.
func (c *conn) answer(args [][]byte, line string) {
	if !noReply(args) {
		c.say(line)
	}
}
