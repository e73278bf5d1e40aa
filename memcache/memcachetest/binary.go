package memcachetest

import "encoding/binary"

// noCreation is the exptime of an increment that shall not create the item.
const noCreation = 0xffffffff

// binaryCommand reads and answers one command of the binary protocol.
func (c *conn) binaryCommand() error {
	f, err := c.readHeader()
	if err != nil {
		return err
	}
	refusal := c.check(&f)
	switch refusal {
	case statusOK, statusTooLarge:
		err = c.readBody(&f, refusal)
	case statusInvalid, statusAuth:
		err = c.skip(int64(f.lenExtras + f.lenKey))
	case statusUnknown: // memcached 1.6 waits for ever if there is a body
		err = c.skip(int64(f.lenExtras + f.lenKey + f.lenValue))
	}
	if err != nil {
		return err
	}
	c.srv.traffic.command(f.name)
	if err := c.admit(); err != nil {
		return err
	}
	switch {
	case f.op == opQuit:
		return c.quit(&f)
	case c.fault.Fail != "":
		c.failBinary(&f, c.fault.Fail)
	case refusal == statusOK:
		c.execute(&f)
	default:
		c.refuseBinary(&f, refusal)
	}
	if refusal == statusInvalid || refusal == statusAuth {
		return errClose
	}
	return nil
}

func (c *conn) refuseBinary(f *frame, s status) {
	if s == statusTooLarge {
		m := modeAdd
		if f.op == opSet {
			m = modeSet
		}
		c.srv.store.refuse(m, f.key)
	}
	c.refuse(f, s)
}

// check looks at the lengths of a request and at who sends it.
func (c *conn) check(f *frame) status {
	switch {
	case !c.authenticated && f.op != opVersion && f.op != opSASLList && f.op != opSASLAuth && f.op != opSASLStep:
		return statusAuth
	case f.lenKey > maxKey:
		return statusInvalid
	case f.op == opNone:
		return statusUnknown
	case !f.fits(f.lenExtras, f.lenKey, f.lenValue):
		return statusInvalid
	case f.storesValue():
		// The client flags are not read yet: with them it may still be too
		// large, which put finds.
		if f.lenValue > maxValue || itemSize(f.lenKey, f.lenValue, 0) > c.srv.cfg.MaxItemSize {
			return statusTooLarge
		}
	case f.lenValue > maxAuth:
		return statusInvalid
	}
	return statusOK
}

// execute carries out a command that is well formed.
func (c *conn) execute(f *frame) {
	switch f.op {
	case opGet, opGetKey, opTouch, opGetAndTouch, opGetKeyAndTouch:
		c.binaryGet(f)
	case opSet, opAdd, opReplace, opAppend, opPrepend:
		c.binaryStore(f)
	case opDelete:
		c.outcome(f, c.srv.store.remove(f.key, condition{f.cas != 0, f.cas}), 0)
	case opIncrement, opDecrement:
		c.binaryCount(f)
	case opFlush:
		var delay int64
		if len(f.extras) > 0 {
			delay = f.exptime(0)
		}
		c.srv.store.flush(delay)
		c.outcome(f, stored, 0)
	case opNoop:
		c.reply(f, statusOK, 0, nil, "", nil)
	case opVersion:
		c.reply(f, statusOK, 0, nil, "", []byte(version))
	case opStat:
		c.binaryStats(f)
	case opSASLList, opSASLAuth, opSASLStep:
		c.sasl(f)
	}
}

// quit answers quit and leaves quitq without an answer.
func (c *conn) quit(f *frame) error {
	if !f.quiet {
		c.reply(f, statusOK, 0, nil, "", nil)
	}
	return errClose
}

// outcome answers a command that returns nothing but a CAS.
func (c *conn) outcome(f *frame, o outcome, cas uint64) {
	switch o {
	case stored:
		if !f.quiet {
			c.reply(f, statusOK, cas, nil, "", nil)
		}
	case exists:
		c.refuse(f, statusExists)
	case notFound:
		c.refuse(f, statusNotFound)
	case notNumber:
		c.refuse(f, statusNotNumber)
	case tooLarge:
		c.refuse(f, statusTooLarge)
	case notStored:
		switch f.op {
		case opAdd:
			c.refuse(f, statusExists)
		case opReplace:
			c.refuse(f, statusNotFound)
		default:
			c.refuse(f, statusNotStored)
		}
	}
}

// binaryGet answers the commands that fetch or touch.
func (c *conn) binaryGet(f *frame) {
	var (
		it  item
		ok  bool
		key string
	)
	switch f.op {
	case opGet, opGetKey:
		it, ok = c.srv.store.get(f.key)
	default:
		it, ok = c.srv.store.touch(f.key, f.exptime(0))
	}
	if f.op == opTouch {
		it.value = nil
	}
	if f.op == opGetKey || f.op == opGetKeyAndTouch {
		key = f.key
	}
	switch {
	case ok:
		flags := binary.BigEndian.AppendUint32(nil, it.flags)
		c.reply(f, statusOK, it.cas, flags, key, it.value)
	case f.quiet:
	case key != "":
		c.reply(f, statusNotFound, 0, nil, key, nil)
	default:
		c.refuse(f, statusNotFound)
	}
}

func (c *conn) binaryStore(f *frame) {
	cmd := storing{key: f.key, value: f.value, cas: f.cas}
	if len(f.extras) > 0 {
		cmd.flags = binary.BigEndian.Uint32(f.extras)
		cmd.exptime = f.exptime(4)
	}
	switch f.op {
	case opAdd:
		cmd.mode = modeAdd
	case opReplace:
		cmd.mode = modeReplace
	case opAppend:
		cmd.mode = modeAppend
	case opPrepend:
		cmd.mode = modePrepend
	}
	if f.cas != 0 && (f.op == opSet || f.op == opAdd || f.op == opReplace) {
		cmd.mode = modeCAS
	}
	cas, o := c.srv.store.put(cmd)
	c.outcome(f, o, cas)
}

func (c *conn) binaryCount(f *frame) {
	be := binary.BigEndian
	exptime := f.exptime(16)
	r := c.srv.store.count(counting{
		key: f.key, decr: f.op == opDecrement, delta: be.Uint64(f.extras), cas: f.cas,
		create: exptime != noCreation, initial: be.Uint64(f.extras[8:]), exptime: exptime,
	})
	if r.outcome != stored || f.quiet {
		c.outcome(f, r.outcome, 0)
		return
	}
	c.reply(f, statusOK, r.item.cas, nil, "", be.AppendUint64(nil, r.number))
}

func (c *conn) binaryStats(f *frame) {
	if f.key == "reset" {
		c.srv.store.resetCounters()
		c.reply(f, statusOK, 0, nil, "", nil)
		return
	}
	stats, ok := c.srv.statistics(f.key)
	if !ok {
		c.refuse(f, statusNotFound)
		return
	}
	for _, s := range stats {
		c.reply(f, statusOK, 0, nil, s[0], []byte(s[1]))
	}
	c.reply(f, statusOK, 0, nil, "", nil)
}
