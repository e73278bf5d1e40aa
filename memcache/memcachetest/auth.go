package memcachetest

import (
	"bytes"
	"crypto/subtle"
)

func (s *Server) checkPassword(username, password string) bool {
	return subtle.ConstantTimeCompare([]byte(username), []byte(s.cfg.Username))&
		subtle.ConstantTimeCompare([]byte(password), []byte(s.cfg.Password)) == 1
}

// authenticate handles a line before authentication: only a set is looked at,
// whose value is "username password" (protocol.txt, "Authentication").
func (c *conn) authenticate(words [][]byte) error {
	c.srv.traffic.command("auth")
	var n uint64
	ok := len(words) >= 5 && string(words[0]) == "set"
	if ok {
		n, ok = parseUint(words[4])
	}
	if !ok {
		_, err := c.begin()
		c.say("CLIENT_ERROR unauthenticated")
		return err
	}
	if n > maxAuth {
		return errClose
	}
	value, ok, err := c.readValue(int(n))
	if err != nil {
		return err
	}
	if ready, err := c.begin(); !ready {
		return err
	}
	token := bytes.Fields(value)
	switch {
	case !ok:
		c.say("CLIENT_ERROR bad command line termination")
	case len(token) < 2:
		c.say("CLIENT_ERROR bad authentication token format")
	case c.srv.checkPassword(string(token[0]), string(token[1])):
		c.authenticated = true
		c.say("STORED")
	default:
		c.say("CLIENT_ERROR authentication failure")
	}
	return nil
}
