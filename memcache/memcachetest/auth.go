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
		_, err := c.begin("set")
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
	if ready, err := c.begin("set"); !ready {
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

// sasl answers the SASL commands. PLAIN is the only mechanism (RFC 4616):
// authorization id, NUL, user name, NUL, password.
func (c *conn) sasl(f *frame) {
	switch {
	case c.srv.cfg.Username == "":
		c.refuse(f, statusUnknown)
	case f.op == opSASLList:
		c.reply(f, statusOK, 0, nil, "", []byte("PLAIN"))
	case f.key != "PLAIN":
		c.authenticated = false
		c.refuse(f, statusAuth)
	case f.op == opSASLAuth && len(f.value) == 0:
		c.reply(f, statusAuthContinue, 0, nil, "", nil) // the response comes with a step
	default:
		token := bytes.Split(f.value, []byte{0})
		c.authenticated = len(token) == 3 && c.srv.checkPassword(string(token[1]), string(token[2]))
		if !c.authenticated {
			c.refuse(f, statusAuth)
			return
		}
		c.reply(f, statusOK, 0, nil, "", []byte("Authenticated"))
	}
}
