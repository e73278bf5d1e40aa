package proto

import "testing"

var failed = outcome{Failed: true}

func done(rep Reply) outcome { return outcome{Reply: rep} }

func found(hits ...hit) outcome { return outcome{Hits: hits} }

func TestClassicValues(t *testing.T) {
	get := Request{Op: OpGet, Key: "a"}
	testWire(t, Classic{MaxValue: 100}, []wireCase{
		{"hit", "gets, so that the CAS comes along", get, "gets a\r\n",
			"VALUE a 5 3 20\r\nabc\r\nEND\r\n", found(hit{0, 5, 20, TTLUnknown, "abc"}), 0},
		{"another key", "a reply to another request", get, "",
			"VALUE b 5 3 20\r\nabc\r\nEND\r\n", failed, 0},
		{"miss", "END alone: a miss carries no key", get, "gets a\r\n", "END\r\n", done(Reply{Status: StatusMiss}), 0},
	})
}
