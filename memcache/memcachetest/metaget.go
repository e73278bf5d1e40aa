package memcachetest

import (
	"fmt"
	"strconv"
	"time"
)

// metaHit is what mg tells of an item, besides what is in the item.
type metaHit struct {
	item
	fetchedBefore bool
	ttl           int64  // flag t: seconds left, -1 for ever
	idle          int64  // flag l: seconds since the last access
	marks         string // Z, X and W
}

// metaGet finds the item of an mg, touches, creates and marks it.
func (s *store) metaGet(key string, f *metaFlags) (h metaHit, ok bool) {
	now := time.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.count.cmdGet++
	s.count.cmdMeta++
	it := s.lookup(key, now)
	create := it == nil && f.has('N')
	switch {
	case create:
		s.count.getMisses++
		it = &item{key: key, binaryKey: f.has('b')}
		s.link(it, now)
	case it == nil:
		s.count.getMisses++
		return h, false
	default:
		s.count.getHits++
	}
	h.fetchedBefore, h.idle = it.fetched, int64(now.Sub(it.accessed)/time.Second)
	win := s.metaTimes(it, f, now, create, &h)
	h.marks = it.marks(win)
	if !f.has('u') {
		s.bump(it, now)
	}
	h.item = *it
	return h, true
}

// metaTimes applies the flags that concern the item's expiry in request order:
// what t shows depends on it. It tells whether the caller shall store anew.
func (s *store) metaTimes(it *item, f *metaFlags, now time.Time, created bool, h *metaHit) (win bool) {
	for _, w := range f.words {
		switch w[0] {
		case 'T':
			s.count.cmdTouch++
			s.count.touchHits++
			it.expires = expiry(f.ttl, now)
		case 'N':
			if created {
				it.expires, win = expiry(f.vivify, now), true
			}
		case 'R':
			if !it.won && !created && !it.expires.IsZero() && it.ttl(now) < f.recache {
				win = true
			}
		case 't':
			h.ttl = it.ttl(now)
		}
	}
	return win
}

// marks returns Z if a client was told W before, X if the item is stale, and W
// for the one client that shall store it anew.
func (it *item) marks(win bool) string {
	var m string
	if it.won {
		m = " Z"
	}
	if it.stale {
		m += " X"
		win = win || !it.won
	}
	if win {
		m += " W"
		it.won = true
	}
	return m
}

// metaGet answers mg (protocol.txt, "Meta Get").
func (c *conn) metaGet(args [][]byte) {
	if !c.metaArgs(args) {
		return
	}
	key, f, refusal := parseMeta(args[0], args[1:])
	if refusal != "" {
		c.say(refusal)
		return
	}
	hit, ok := c.srv.store.metaGet(key, &f)
	if !ok {
		if !f.has('q') {
			c.status("EN", key, &f)
		}
		return
	}
	if f.has('v') {
		c.out = strconv.AppendInt(append(c.out, "VA "...), int64(len(hit.value)), 10)
	} else {
		c.out = append(c.out, "HD"...)
	}
	for _, w := range f.words {
		c.metaField(&hit, w)
	}
	c.say(hit.marks)
	if f.has('v') {
		c.out = append(append(c.out, hit.value...), "\r\n"...)
	}
}

// metaField appends what one flag of an mg asks for.
func (c *conn) metaField(h *metaHit, w []byte) {
	switch w[0] {
	case 's':
		c.number('s', int64(len(h.value)))
	case 't':
		c.number('t', h.ttl)
	case 'c':
		c.cas(h.cas)
	case 'f':
		c.number('f', int64(h.flags))
	case 'l':
		c.number('l', h.idle)
	case 'h':
		n := int64(0)
		if h.fetchedBefore {
			n = 1
		}
		c.number('h', n)
	default:
		c.echo(h.key, h.binaryKey, w)
	}
}

func (c *conn) number(flag byte, n int64) {
	c.out = strconv.AppendInt(append(c.out, ' ', flag), n, 10)
}

func (c *conn) cas(n uint64) {
	c.out = strconv.AppendUint(append(c.out, " c"...), n, 10)
}

// metaDebug answers me (protocol.txt, "Meta Debug").
func (c *conn) metaDebug(args [][]byte) {
	if len(args) == 0 {
		c.say(badFormat)
		return
	}
	if !c.metaArgs(args) {
		return
	}
	key, _, refusal := parseMeta(args[0], args[1:])
	if refusal != "" {
		c.say(refusal)
		return
	}
	now := time.Now()
	it, ok := c.srv.store.peek(key, now)
	if !ok {
		c.say("EN")
		return
	}
	fetched := "no"
	if it.fetched {
		fetched = "yes"
	}
	c.out = fmt.Appendf(c.out, "ME %s exp=%d la=%d cas=%d fetch=%s cls=1 size=%d\r\n",
		args[0], it.ttl(now), int64(now.Sub(it.accessed)/time.Second), it.cas, fetched, it.size())
}
