package memcachetest

import (
	"bytes"
	"time"
)

// metaSet reads and carries out an ms (protocol.txt, "Meta Set"). As with the
// classic commands, after a header whose length it cannot read the value's bytes
// are taken for commands.
func (c *conn) metaSet(args [][]byte) error {
	if len(args) == 0 {
		return c.run("", nil, nil)
	}
	var (
		n  int64
		ok bool
	)
	if len(args) > 1 && len(args[0]) <= maxKey {
		n, ok = parseInt(args[1])
	}
	if !ok || n < 0 || n > maxValue {
		return c.refuseMeta(badFormat)
	}
	cmd, f, refusal := parseMetaSet(args)
	if refusal == "" && itemSize(len(cmd.key), int(n), cmd.flags) > c.srv.cfg.MaxItemSize {
		refusal = tooBig
	}
	if refusal != "" {
		return c.skipMetaSet(n, cmd.key, refusal)
	}
	value, ok, err := c.readValue(int(n))
	if err != nil {
		return err
	}
	return c.run("ms", func(c *conn, _ [][]byte) {
		if !ok {
			c.say(badChunk)
			return
		}
		cmd.value = value
		c.metaStored(&cmd, &f)
	}, nil)
}

// skipMetaSet reads over the value of a refused ms.
func (c *conn) skipMetaSet(n int64, key, refusal string) error {
	if err := c.skip(n + 2); err != nil {
		return err
	}
	return c.run("ms", func(c *conn, _ [][]byte) {
		if refusal == tooBig {
			c.srv.store.refuse(modeSet, key) // whatever the mode, unlike the classic commands
		}
		c.say(refusal)
	}, nil)
}

func (c *conn) refuseMeta(line string) error {
	return c.run("ms", func(c *conn, _ [][]byte) { c.say(line) }, nil)
}

// parseMetaSet reads all of an ms but the length. What it returns does not share
// memory with args, which are gone when the value has been read.
func parseMetaSet(args [][]byte) (cmd storing, f metaFlags, refusal string) {
	if len(args) > maxMetaWords-1 {
		return cmd, f, manyFlags
	}
	words := make([][]byte, len(args)-2)
	for i, w := range args[2:] {
		words[i] = bytes.Clone(w)
	}
	cmd.key, f, refusal = parseMeta(args[0], words)
	if refusal != "" {
		return cmd, f, refusal
	}
	cmd.flags, cmd.exptime, cmd.cas = f.flags, f.ttl, f.cas
	cmd.allowStale, cmd.binaryKey = f.has('I'), f.has('b')
	switch f.mode {
	case 0, 'S':
		cmd.mode = modeSet
	case 'E':
		cmd.mode = modeAdd
	case 'A':
		cmd.mode = modeAppend
	case 'P':
		cmd.mode = modePrepend
	case 'R':
		cmd.mode = modeReplace
	default:
		refusal = "CLIENT_ERROR invalid mode for ms M token"
	}
	if f.has('C') && (cmd.mode == modeSet || cmd.mode == modeReplace) {
		cmd.mode = modeCAS
	}
	return cmd, f, refusal
}

// metaStored carries out an ms and answers it.
func (c *conn) metaStored(cmd *storing, f *metaFlags) {
	cas, o := c.srv.store.put(*cmd)
	code := "HD"
	switch o {
	case stored:
		if f.has('q') {
			return
		}
	case exists:
		code = "EX"
	case notFound:
		code = "NF"
	case tooLarge:
		c.say(tooBig)
		return
	default:
		code = "NS"
	}
	c.out = append(c.out, code...)
	for _, w := range f.words {
		if w[0] == 'c' {
			c.cas(cas)
		} else {
			c.echo(cmd.key, cmd.binaryKey, w)
		}
	}
	c.say("")
}

// metaDelete answers md (protocol.txt, "Meta Delete").
func (c *conn) metaDelete(args [][]byte) {
	key, f, ok := c.metaHead(args)
	if !ok {
		return
	}
	var o outcome
	if f.has('I') {
		o = c.srv.store.markStale(key, &f)
	} else {
		o = c.srv.store.remove(key, f.condition())
	}
	switch o {
	case notFound:
		c.status("NF", key, &f)
	case exists:
		c.status("EX", key, &f)
	default:
		if !f.has('q') {
			c.status("HD", key, &f)
		}
	}
}

// markStale is md with flag I: the next client that fetches the item is told to
// store it anew.
func (s *store) markStale(key string, f *metaFlags) outcome {
	now := time.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	it := s.lookup(key, now)
	switch {
	case it == nil:
		return notFound
	case !f.condition().fits(it):
		return exists
	}
	it.stale, it.won, it.cas = true, false, s.nextCAS()
	if f.has('T') {
		it.expires = expiry(f.ttl, now)
	}
	return stored
}
