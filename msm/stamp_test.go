package msm

import "testing"

func TestStampOrder(t *testing.T) {
	tests := []struct {
		name  string
		a, b  stamp
		newer bool // a than b
	}{
		{"a commit is newer than what it changed", stamp(7).next(), 7, true},
		{"a stamp is not newer than itself", 7, 7, false},
		{"a fence is newer than any commit of its epoch", stamp(7).fence(), 0xffff, true},
		{"the last commit of an epoch leads into the next one", stamp(0xffff).next(), stamp(7).fence(), false},
		{"stamps wrap around", stamp(0xffffffff).next(), 0xffffffff, true},
		{"a fence wraps around", stamp(0xffff0007).fence(), 0xffff0007, true},
		{"an old stamp is older", 3, 0x10000, false},
	}
	for _, tt := range tests {
		if got := tt.a.newerThan(tt.b); got != tt.newer {
			t.Errorf("%s: %#x newer than %#x = %v, want %v", tt.name, tt.a, tt.b, got, tt.newer)
		}
	}
}

func TestStampEpoch(t *testing.T) {
	tests := []struct {
		name    string
		stamp   stamp
		epoch   uint16
		reaches bool
	}{
		{"its own epoch", 0x20005, 2, true},
		{"an earlier epoch", 0x20005, 1, true},
		{"a later epoch", 0x20005, 3, false},
		{"an epoch after the wrap", 0x5, 0xffff, true},
		{"an epoch before the wrap", 0xffff0005, 0, false},
	}
	for _, tt := range tests {
		if got := tt.stamp.reaches(tt.epoch); got != tt.reaches {
			t.Errorf("%s: %#x reaches %d = %v, want %v", tt.name, tt.stamp, tt.epoch, got, tt.reaches)
		}
	}
}

// What a node fences never has the stamp of what is decided without it.
func TestStampKinds(t *testing.T) {
	for _, tt := range []struct{ from, fence, takeover stamp }{
		{0, 0x10000, 0x200000},
		{0x20005, 0x30000, 0x200000},
		{0x1f0005, 0x210000, 0x200000},
		{0x200000, 0x210000, 0x400000},
		{0xffff0007, 0x10000, 0},
	} {
		if got := tt.from.fence(); got != tt.fence {
			t.Errorf("fence of %#x = %#x, want %#x", tt.from, got, tt.fence)
		}
		if got := tt.from.takeover(); got != tt.takeover {
			t.Errorf("takeover of %#x = %#x, want %#x", tt.from, got, tt.takeover)
		}
	}
}
