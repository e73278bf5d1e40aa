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
	it := s.lookup(key, now)
	create := it == nil && f.has('N')
	s.countMetaGet(it != nil || create, f.has('T'))
	switch {
	case create:
		it = &item{key: key} // told as text, even if it came in base64
		s.link(it, now)
	case it == nil:
		return h, false
	}
	h.fetchedBefore, h.idle = it.fetched, int64(now.Sub(it.accessed)/time.Second)
	var win bool
	h.ttl, win = it.applyTimes(f, now, create)
	h.marks = it.marks(win)
	if !f.has('u') {
		s.bump(it, now)
	}
	h.item = *it
	return h, true
}

// countMetaGet counts as memcached does: a creation is a hit, a touch no get.
func (s *store) countMetaGet(hit, touch bool) {
	switch {
	case hit && touch:
		s.stats.cmdTouch++
		s.stats.touchHits++
	case hit:
		s.stats.cmdGet++
		s.stats.getHits++
	default:
		s.stats.cmdGet++
		s.stats.getMisses++
	}
}

// applyTimes applies the flags that concern the item's expiry in request order:
// what t shows depends on it. win is true if the caller shall store anew.
func (it *item) applyTimes(f *metaFlags, now time.Time, created bool) (ttl int64, win bool) {
	for _, w := range f.words {
		switch w[0] {
		case 'T':
			it.expires = expiry(f.ttl, now)
		case 'N':
			if created {
				it.expires, win = expiry(f.vivify, now), true
			}
		case 'R':
			win = win || !created && it.recache(f.recache, now)
		case 't':
			ttl = it.ttl(now)
		}
	}
	return ttl, win
}

// recache tells whether less than so many seconds are left (flag R), and nobody
// was told yet to store anew.
func (it *item) recache(seconds int64, now time.Time) bool {
	if seconds > maxRelative {
		seconds -= now.Unix() // a date
	}
	return seconds > 0 && !it.won && !it.expires.IsZero() && it.ttl(now) < seconds
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

// debug is peek, counted.
func (s *store) debug(key string, now time.Time) (item, bool) {
	s.mu.Lock()
	s.stats.cmdMeta++
	s.mu.Unlock()
	return s.peek(key, now)
}

// metaDebug answers me (protocol.txt, "Meta Debug"). Of its flags only b counts,
// and only if it is the first.
func (c *conn) metaDebug(args [][]byte) {
	if len(args) == 0 || len(args[0]) > maxKey {
		c.say(badFormat)
		return
	}
	key := args[0]
	if len(args) > 1 && string(args[1]) == "b" {
		var ok bool
		if key, ok = decodeKey(key); !ok {
			c.say(badFormat)
			return
		}
	}
	now := time.Now()
	it, ok := c.srv.store.debug(string(key), now)
	if !ok {
		c.say("EN")
		return
	}
	fetched, exp := "no", int64(-1)
	if it.fetched {
		fetched = "yes"
	}
	if !it.expires.IsZero() {
		exp = -it.ttl(now) // memcached tells it so
	}
	c.out = fmt.Appendf(c.out, "ME %s exp=%d la=%d cas=%d fetch=%s cls=1 size=%d\r\n",
		args[0], exp, int64(now.Sub(it.accessed)/time.Second), it.cas, fetched, it.size())
}
