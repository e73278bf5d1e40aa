package msm

import (
	"encoding/hex"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestRecordTellsItsPlace(t *testing.T) {
	tests := []struct {
		name   string
		record record
		want   string // the frame in hex
	}{
		{"node", record{base: testBase, node: "n1"}, "0304" + "0000" + "6e31"},
		{"alone on a node without name", record{base: testBase, alone: true}, "0302" + "0001"},
		{"tombstone on a node", record{base: testBase, node: "n1", dead: renewed}, "0304" + "0200" + "6e31"},
	}
	for _, tt := range tests {
		data := tt.record.appendTo(nil)
		if got := hex.EncodeToString(data); !strings.HasSuffix(got, tt.want) {
			t.Errorf("%s: stored as %s, want it to end in %s", tt.name, got, tt.want)
		}
		got, err := parseRecord(data)
		if err != nil {
			t.Errorf("%s: %v", tt.name, err)
			continue
		}
		if diff := cmp.Diff(&tt.record, got, compareRecords); diff != "" {
			t.Errorf("%s: read back (-want +got):\n%s", tt.name, diff)
		}
	}
	for _, frame := range []string{"0302" + "0000", "0303" + "0002" + "6e", "0303" + "0000" + "2d"} {
		tail, err := hex.DecodeString(frame)
		if err != nil {
			t.Fatal(err)
		}
		data := append((&record{base: testBase}).appendTo(nil), tail...)
		if _, err := parseRecord(data); err == nil {
			t.Errorf("frame %s was accepted: no place, no bool, or no node id", frame)
		}
	}
}
