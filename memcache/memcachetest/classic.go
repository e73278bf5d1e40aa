package memcachetest

import (
	"slices"
	"strconv"
)

// store reads and carries out a storage command (protocol.txt, "Storage
// commands"). After a header that it cannot read, the value's bytes are taken
// for commands, as memcached does up to 1.6.39.
func (c *conn) store(name string, args [][]byte) error {
	fixed := 4 // key, flags, exptime, bytes
	if name == "cas" {
		fixed = 5
	}
	if len(args) != fixed && len(args) != fixed+1 {
		return c.run("", nil, nil)
	}
	var (
		cmd                    = storing{mode: storeMode(name), key: string(args[0])}
		silent                 = noReply(args)
		okFlags, okTime, okLen bool
		n                      int64
		okCAS                  = true
	)
	cmd.flags, okFlags = parseFlags(args[1])
	cmd.exptime, okTime = parseInt(args[2])
	n, okLen = parseInt(args[3])
	if fixed == 5 {
		cmd.cas, okCAS = parseUint(args[4])
	}
	if !okFlags || !okTime || !okLen || !okCAS || len(cmd.key) > maxKey || n < 0 || n > maxValue {
		return c.run(name, func(c *conn, args [][]byte) { c.answer(args, badFormat) }, args)
	}
	if itemSize(len(cmd.key), int(n), cmd.flags) > c.srv.cfg.MaxItemSize {
		return c.refuseStore(name, &cmd, n, silent)
	}
	value, ok, err := c.readValue(int(n))
	if err != nil {
		return err
	}
	return c.run(name, func(c *conn, _ [][]byte) {
		reply := badChunk
		if ok {
			cmd.value = value
			_, o := c.srv.store.put(cmd)
			reply = storeReply(o)
		}
		if !silent {
			c.say(reply)
		}
	}, nil)
}

// refuseStore reads over a value that is too large.
func (c *conn) refuseStore(name string, cmd *storing, n int64, silent bool) error {
	if err := c.skip(n + 2); err != nil {
		return err
	}
	return c.run(name, func(c *conn, _ [][]byte) {
		c.srv.store.refuse(cmd.mode, cmd.key)
		if !silent {
			c.say(tooBig)
		}
	}, nil)
}

func storeMode(name string) mode {
	switch name {
	case "add":
		return modeAdd
	case "replace":
		return modeReplace
	case "append":
		return modeAppend
	case "prepend":
		return modePrepend
	case "cas":
		return modeCAS
	}
	return modeSet
}

func storeReply(o outcome) string {
	switch o {
	case stored:
		return "STORED"
	case exists:
		return "EXISTS"
	case notFound:
		return "NOT_FOUND"
	case tooLarge:
		return tooBig
	}
	return "NOT_STORED"
}

// get answers get and gets (protocol.txt, "Retrieval command").
func (c *conn) get(keys [][]byte, withCAS bool) {
	if len(keys) == 0 {
		c.say("ERROR")
		return
	}
	c.values(keys, withCAS, c.srv.store.get)
}

// getAndTouch answers gat and gats.
func (c *conn) getAndTouch(args [][]byte, withCAS bool) {
	if len(args) == 0 {
		c.say("ERROR")
		return
	}
	exptime, ok := parseInt(args[0])
	if !ok {
		c.say(badExptime)
		return
	}
	c.values(args[1:], withCAS, func(key string) (item, bool) {
		return c.srv.store.touch(key, exptime)
	})
}

// values answers with the hits among keys. A bad key spoils the whole reply, but
// those before it have been fetched.
func (c *conn) values(keys [][]byte, withCAS bool, get func(key string) (item, bool)) {
	bad := slices.IndexFunc(keys, func(key []byte) bool { return len(key) > maxKey })
	if bad >= 0 {
		for _, key := range keys[:bad] {
			get(string(key))
		}
		c.say(badFormat)
		return
	}
	for _, key := range keys {
		if it, ok := get(string(key)); ok {
			c.value(&it, withCAS)
			if !c.relieve() {
				return
			}
		}
	}
	c.say("END")
}

// value appends a hit.
func (c *conn) value(it *item, withCAS bool) {
	c.out = append(append(c.out, "VALUE "...), it.key...)
	c.out = strconv.AppendUint(append(c.out, ' '), uint64(it.flags), 10)
	c.out = strconv.AppendInt(append(c.out, ' '), int64(len(it.value)), 10)
	if withCAS {
		c.out = strconv.AppendUint(append(c.out, ' '), it.cas, 10)
	}
	c.out = append(append(c.out, "\r\n"...), it.value...)
	c.out = append(c.out, "\r\n"...)
}

// delete answers `delete key [0] [noreply]`.
func (c *conn) delete(args [][]byte) {
	if len(args) < 1 || len(args) > 3 {
		c.say("ERROR")
		return
	}
	key, options := string(args[0]), args[1:] // a key may be "noreply" too
	rest := options
	if noReply(rest) {
		rest = rest[:len(rest)-1]
	}
	switch {
	case len(rest) > 1 || len(rest) == 1 && string(rest[0]) != "0":
		c.answer(options, badFormat+".  Usage: delete <key> [noreply]")
	case len(key) > maxKey:
		c.answer(options, badFormat)
	case c.srv.store.remove(key, condition{}) == stored:
		c.answer(options, "DELETED")
	default:
		c.answer(options, "NOT_FOUND")
	}
}

// touch answers `touch key exptime [noreply]`.
func (c *conn) touch(args [][]byte) {
	if len(args) != 2 && len(args) != 3 {
		c.say("ERROR")
		return
	}
	exptime, ok := parseInt(args[1])
	switch {
	case len(args[0]) > maxKey:
		c.answer(args, badFormat)
		return
	case !ok:
		c.answer(args, badExptime)
		return
	}
	if _, ok := c.srv.store.touch(string(args[0]), exptime); ok {
		c.answer(args, "TOUCHED")
	} else {
		c.answer(args, "NOT_FOUND")
	}
}

// incr answers `incr key delta [noreply]` and decr.
func (c *conn) incr(args [][]byte, decr bool) {
	if len(args) != 2 && len(args) != 3 {
		c.say("ERROR")
		return
	}
	delta, ok := parseUint(args[1])
	switch {
	case len(args[0]) > maxKey:
		c.answer(args, badFormat)
		return
	case !ok:
		c.answer(args, "CLIENT_ERROR invalid numeric delta argument")
		return
	}
	r := c.srv.store.count(counting{key: string(args[0]), delta: delta, decr: decr})
	switch r.outcome {
	case stored:
		c.answer(args, strconv.FormatUint(r.number, 10))
	case notFound:
		c.answer(args, "NOT_FOUND")
	default:
		c.answer(args, notANumber)
	}
}

// flushAll answers `flush_all [delay] [noreply]`.
func (c *conn) flushAll(args [][]byte) {
	rest := args
	if noReply(rest) {
		rest = rest[:len(rest)-1]
	}
	if len(args) > 2 {
		c.say("ERROR")
		return
	}
	var delay int64
	if len(rest) > 0 {
		var ok bool
		if delay, ok = parseInt(rest[0]); !ok {
			c.answer(args, badExptime)
			return
		}
	}
	c.srv.store.flush(delay)
	c.answer(args, "OK")
}

// verbosity answers `verbosity level [noreply]`; there is no log to make
// verbose.
func (c *conn) verbosity(args [][]byte) {
	if len(args) != 1 && len(args) != 2 {
		c.say("ERROR")
		return
	}
	if _, ok := parseUint(args[0]); !ok {
		c.answer(args, badFormat)
		return
	}
	c.answer(args, "OK")
}
