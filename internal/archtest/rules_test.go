package archtest

import (
	"go/parser"
	"testing"
)

func TestForbids(t *testing.T) {
	r := rule{imports: []string{"ring", "github.com/cespare/xxhash/v2"}, never: []string{"net"}}
	tests := []struct {
		name, imported  string
		test, forbidden bool
		reason          string
	}{
		{"itself", module + "/memcache", true, false, "an external test imports its package"},
		{"listed", module + "/ring", false, false, "in the table"},
		{"ours, not listed", module + "/msm", false, true, "upwards"},
		{"ours, below a listed one", module + "/ring/inner", false, true, "a package is named, not a tree"},
		{"ours, in a test", module + "/msm", true, false, "tests may"},
		{"third party, listed", "github.com/cespare/xxhash/v2", false, false, "in the table"},
		{"third party, not listed", "github.com/google/uuid", false, true, "not one of the three"},
		{"third party, in a test", "github.com/google/uuid", true, true, "tests have go-cmp only"},
		{"go-cmp in a test", "github.com/google/go-cmp/cmp", true, false, "tests have go-cmp"},
		{"go-cmp in the library", "github.com/google/go-cmp/cmp", false, true, "for tests only"},
		{"standard", "strings", false, false, "not banned"},
		{"standard, banned", "net", false, true, "in the never list"},
		{"standard, below a banned one", "net/http", false, true, "the ban is on the tree"},
		{"standard, a longer name", "nettest", false, false, "not below net"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if why := r.forbids("memcache", tt.imported, tt.test); (why != "") != tt.forbidden {
				t.Errorf("forbids(%q, test=%v) = %q, want forbidden %v: %s", tt.imported, tt.test, why, tt.forbidden, tt.reason)
			}
		})
	}
}

func TestIsConstantTable(t *testing.T) {
	tests := []struct {
		expr string
		want bool
	}{
		{`errors.New("x")`, true},
		{`[...]string{"a"}`, true},
		{`map[string]int{"a": 1}`, true},
		{`jsonTranscoder{}`, true},
		{`http.Cookie{Name: "a"}`, true},
		{`sync.Pool{}`, false},
		{`make(map[string]int)`, false},
		{`new(int)`, false},
		{`&sync.Mutex{}`, false},
		{`make(chan int)`, false},
		{`base32.NewEncoding("a").WithPadding(base32.NoPadding)`, true},
		{`(*T)(nil)`, true},
		{`timeoutError("too late")`, true},
		{`newCache("a")`, false},
		{`make()`, false},
	}
	for _, tt := range tests {
		expr, err := parser.ParseExpr(tt.expr)
		if err != nil {
			t.Fatal(err)
		}
		if got := isConstantTable(expr); got != tt.want {
			t.Errorf("isConstantTable(%s) = %v, want %v", tt.expr, got, tt.want)
		}
	}
}
