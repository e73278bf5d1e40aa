package proto

import (
	"fmt"
	"strings"
	"testing"
)

// hotPath are the exchanges that must cost no allocation and little time.
func hotPath() []struct {
	name    string
	req     Request
	replies map[string]string // by protocol
} {
	value := strings.Repeat("v", 100)
	const key = "session:0123456789abcdef"
	binaryValue := packet(0, reply{opcode: opcodeGet, opaque: 123456, value: value, extras: "\x00\x00\x00\x05", cas: 20})
	cases := []struct {
		name    string
		req     Request
		replies map[string]string
	}{
		{"GetHit", Request{Op: OpGet, Key: key}, map[string]string{
			"Classic": "VALUE " + key + " 5 100 123456789\r\n" + value + "\r\nEND\r\n",
			"Meta":    "VA 100 f5 c123456789 t1800 O123456\r\n" + value + "\r\n",
			"Binary":  binaryValue,
		}},
		{"GetMiss", Request{Op: OpGet, Key: key}, map[string]string{
			"Classic": "END\r\n", "Meta": "EN O123456\r\n",
			"Binary": packet(statusNotFound, reply{opcode: opcodeGet, opaque: 123456, value: "Not found"}),
		}},
		{"Set", Request{Op: OpSet, Key: key, Value: []byte(value), Flags: 5, Exptime: 1800}, map[string]string{
			"Classic": "STORED\r\n", "Meta": "HD c123456789 O123456\r\n",
			"Binary": packet(0, reply{opcode: opcodeSet, opaque: 123456, cas: 20}),
		}},
		{"Touch", Request{Op: OpTouch, Key: key, Exptime: 1800}, map[string]string{
			"Classic": "TOUCHED\r\n", "Meta": "HD O123456\r\n",
			"Binary": packet(0, reply{opcode: opcodeTouch, opaque: 123456, extras: "\x00\x00\x00\x05", cas: 20}),
		}},
		{"Delete", Request{Op: OpDelete, Key: key}, map[string]string{
			"Classic": "DELETED\r\n", "Meta": "HD O123456\r\n",
			"Binary": packet(0, reply{opcode: opcodeDelete, opaque: 123456}),
		}},
	}
	for _, c := range cases {
		c.replies["Text"] = c.replies["Meta"]
	}
	return append(cases, manyKeys(value))
}

// manyKeys is a multi-get of 100 keys, all of them hits.
func manyKeys(value string) (c struct {
	name    string
	req     Request
	replies map[string]string
}) {
	var classic, meta, binary, text strings.Builder
	c.name, c.req = "GetMulti100", Request{Op: OpGetMulti}
	for i := range 100 {
		key := fmt.Sprintf("session:0123456789abcd%02d", i)
		c.req.Keys = append(c.req.Keys, key)
		asList := fmt.Sprintf("VALUE %s 5 100 123456789\r\n%s\r\n", key, value)
		asMeta := fmt.Sprintf("VA 100 f5 c123456789 O123456.%d\r\n%s\r\n", i, value)
		classic.WriteString(asList)
		meta.WriteString(asMeta)
		binary.WriteString(packet(0, reply{opcode: opcodeGetK, opaque: 123456, extras: "\x00\x00\x00\x05", key: key, value: value, cas: 20}))
		if i == 0 {
			text.WriteString(asMeta)
		} else {
			text.WriteString(asList)
		}
	}
	classic.WriteString("END\r\n")
	text.WriteString("END\r\nMN\r\n")
	c.replies = map[string]string{"Classic": classic.String(), "Meta": meta.String(), "Binary": binary.String(), "Text": text.String()}
	return c
}

// parseWhole reads a complete reply and passes over its values.
func parseWhole(tb testing.TB, c Codec, buf []byte, req *Request, rep *Reply) {
	*rep = Reply{}
	for {
		n, step, err := c.Parse(buf, req, rep)
		if err != nil || step == StepMore {
			tb.Fatalf("step %d, error %v", step, err)
		}
		if step == StepDone {
			return
		}
		buf = buf[n+rep.Size:]
	}
}

func TestHotPathAllocs(t *testing.T) {
	for _, tc := range hotPath() {
		for _, p := range codecs {
			req, rep, buf := &tc.req, new(Reply), []byte(tc.replies[p.name])
			req.Opaque = 123456
			dst := make([]byte, 0, 64<<10)
			allocs := testing.AllocsPerRun(100, func() {
				if p.codec.Check(req) != nil {
					t.Fatal("refused")
				}
				dst = p.codec.AppendRequest(dst[:0], req)
				parseWhole(t, p.codec, buf, req, rep)
			})
			if allocs != 0 {
				t.Errorf("%s over %s: %v allocations, want 0", tc.name, p.name, allocs)
			}
		}
	}
}

func BenchmarkRequest(b *testing.B) {
	for _, tc := range hotPath() {
		for _, p := range codecs {
			b.Run(tc.name+"/"+p.name, func(b *testing.B) {
				req, dst := &tc.req, make([]byte, 0, 64<<10)
				req.Opaque = 123456
				b.ReportAllocs()
				for b.Loop() {
					if p.codec.Check(req) != nil {
						b.Fatal("refused")
					}
					dst = p.codec.AppendRequest(dst[:0], req)
				}
			})
		}
	}
}

func BenchmarkReply(b *testing.B) {
	for _, tc := range hotPath() {
		for _, p := range codecs {
			b.Run(tc.name+"/"+p.name, func(b *testing.B) {
				req, rep, buf := &tc.req, new(Reply), []byte(tc.replies[p.name])
				req.Opaque = 123456
				b.ReportAllocs()
				for b.Loop() {
					parseWhole(b, p.codec, buf, req, rep)
				}
			})
		}
	}
}
