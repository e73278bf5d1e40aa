package memcachetest

import (
	"bufio"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/seed99545744/msm/internal/memcached"
)

// vocabulary is what random commands are made of: few keys, so that commands
// meet, and numbers at the edges.
type vocabulary struct{ *rand.Rand }

func (v vocabulary) pick(words ...string) string { return words[v.IntN(len(words))] }

func (v vocabulary) key() string {
	return v.pick("a", "b", "c", "n", "m", "noreply", "YWJj", strings.Repeat("k", 250), strings.Repeat("k", 251))
}

func (v vocabulary) exptime() string {
	return v.pick("0", "0", "0", "100", "2592000", "2592001", "-1", "4102444800", "4294967396", "x", "")
}

func (v vocabulary) number() string {
	return v.pick("0", "1", "7", "10", "4294967295", "4294967296", "18446744073709551615", "18446744073709551616", "-1", "x", "")
}

func (v vocabulary) value() string {
	return v.pick("", "v", "10", "99", " 5", "18446744073709551615", "123456789012345678901", "1 2", "abc", strings.Repeat("z", 100))
}

// flags are those of a meta command, some of them refused.
func (v vocabulary) flags(cmd string) string {
	var b strings.Builder
	for range v.IntN(6) {
		f := v.pick("v", "t", "f", "c", "k", "s", "q", "h", "u", "I", "b", "O12", "Ox", "T", "N", "R", "C", "F", "M", "J", "D", "z")
		switch f {
		case "T", "N":
			if cmd == "ma" && f == "T" {
				continue // lost if the number gets longer: not something to imitate
			}
			f += v.exptime()
		case "R":
			f += v.pick("0", "30", "1000", "-1")
		case "C", "J", "D", "F":
			f += v.number()
		case "M":
			f += v.pick("S", "E", "A", "P", "R", "I", "D", "+", "-", "X", "")
		}
		b.WriteString(" " + f)
	}
	return b.String()
}

// command returns one command of the ASCII protocol.
func (v vocabulary) command() string {
	switch v.IntN(12) {
	case 0, 1, 2:
		value := v.value()
		name := v.pick("set", "set", "add", "replace", "append", "prepend", "cas")
		line := fmt.Sprintf("%s %s %s %s %d", name, v.key(), v.number(), v.exptime(), len(value))
		if name == "cas" {
			line += " " + fmt.Sprint(v.IntN(200))
		}
		return line + v.pick("", "", "", " noreply", " x") + "\r\n" + value + "\r\n"
	case 3, 4:
		value := v.value()
		return fmt.Sprintf("ms %s %d%s\r\n%s\r\n", v.key(), len(value), v.flags("ms"), value)
	case 5, 6:
		return "mg " + v.key() + v.flags("mg") + "\r\n"
	case 7:
		name := v.pick("md", "md", "ma", "ma", "ma", "me")
		return name + " " + v.key() + v.flags(name) + "\r\n"
	case 8:
		return v.pick("get", "gets") + " " + v.key() + " " + v.key() + "\r\n"
	case 9:
		return v.pick("gat", "gats") + " " + v.exptime() + " " + v.key() + "\r\n"
	case 10:
		return v.pick("incr", "decr") + " " + v.key() + " " + v.number() + v.pick("", " noreply") + "\r\n"
	}
	// A delayed flush_all brings back to life what the one before it removed: not
	// something to imitate either.
	return v.pick("delete "+v.key(), "delete "+v.key()+" "+v.exptime(), "touch "+v.key()+" "+v.exptime(), "touch "+v.key()+" 5 noreply",
		"flush_all", "flush_all "+v.pick("0", "-1", "x", "noreply", "4102444800"), "verbosity "+v.number(), "version", "bogus "+v.key(), "") + "\r\n"
}

var (
	ages  = regexp.MustCompile(`( l|la=)\d+|(cls=)\d+`)
	times = regexp.MustCompile(`( t|exp=-)\d+`)
)

// timeless removes what differs between servers that were asked a moment apart:
// ages, and the last digit of a time to live. Slab classes are memcached's own.
func timeless(reply string) string {
	reply = ages.ReplaceAllString(reply, "$1$2#")
	return times.ReplaceAllStringFunc(reply, func(m string) string {
		name := strings.TrimRight(m, "0123456789")
		n, _ := strconv.Atoi(m[len(name):])
		if n > math.MaxInt32 {
			n = 0 // less than nothing, without its sign
		}
		return fmt.Sprint(name, (n+9)/10*10)
	})
}

// Random conversations: memcachetest answers every command, malformed ones too,
// as memcached does, byte by byte and with the same CAS numbers.
func TestDifferential(t *testing.T) {
	for seed := range uint64(10) {
		ok := t.Run(fmt.Sprint(seed), func(t *testing.T) {
			// While its maintainer thread holds an item that was just fetched, a
			// decrement does not pad the number with blanks: not something to imitate.
			real := dialTCP(t, memcached.StartVersion(t, version, "-o", "no_lru_maintainer").Addr())
			fake := dial(t, start(t, Config{Network: new(Network)}))
			v := vocabulary{rand.New(rand.NewPCG(seed, 5))}
			var history []string
			for range 500 {
				cmd := v.command()
				if history = append(history, cmd); len(history) > 10 {
					history = history[1:]
				}
				want, got := reply(t, real, cmd), reply(t, fake, cmd)
				if timeless(got) != timeless(want) {
					t.Fatalf("after %s:\ngot  %q\nwant %q, as memcached says", short(history), got, want)
				}
			}
		})
		if !ok {
			break
		}
	}
}

// short prints commands without their longest keys and values.
func short(commands []string) string {
	s := fmt.Sprintf("%q", commands)
	for _, c := range []string{"k", "z"} {
		s = regexp.MustCompile(c+"{100,}").ReplaceAllStringFunc(s, func(m string) string { return fmt.Sprintf("%s{x%d}", c, len(m)) })
	}
	return s
}

// reply sends a command, a store that tells how many CAS numbers it took, and a
// fence, and returns all that comes back.
func reply(t *testing.T, c *client, cmd string) string {
	t.Helper()
	if _, err := io.WriteString(c.nc, cmd+"mn\r\nms last 0 c\r\n\r\nmn\r\nmn\r\n"); err != nil {
		t.Fatalf("%q: %v", cmd, err)
	}
	return untilFence(t, c.r, cmd)
}

// untilFence reads up to the third MN: one fence may be taken for a value.
func untilFence(t *testing.T, r *bufio.Reader, cmd string) string {
	t.Helper()
	var b strings.Builder
	for n := 0; n < 3; {
		line, err := r.ReadString('\n')
		b.WriteString(line)
		if err != nil {
			t.Fatalf("%q: got %q, %v", cmd, b.String(), err)
		}
		if line == "MN\r\n" {
			n++
		}
	}
	return b.String()
}
