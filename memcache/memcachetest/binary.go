package memcachetest

// binaryRequest is the first byte of every binary request.
const binaryRequest = 0x80

func (c *conn) binaryCommand() error { return errClose }
