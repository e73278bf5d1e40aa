package tomcat_test

import (
	"fmt"
	"os"
	"reflect"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/seed99545744/msm/msm"
)

// rows are all attributes of MSM's Manager (msm.md, 1.1), and what it takes from
// what stands around it, as the README's table has them: MSM's name, the field of
// Config, unit and default, and the setting that is in force by default.
var rows = []struct{ name, field, unit, standard, inForce string }{
	{"memcachedNodes", "MemcachedNodes", "", "required", "n1:a:1,n2:b:2"},
	{"failoverNodes", "FailoverNodes", "", "none", ""},
	{"memcachedProtocol", "MemcachedProtocol", "", "text", ""},
	{"username", "Username", "", "none", notShown},
	{"password", "Password", "", "none", notShown},
	{"sticky", "NonSticky", "", "true", "false"},
	{"lockingMode", "LockingMode", "", "none", ""},
	{"lockExpiration", "LockExpiration", "s", "5", "5s"},
	{"operationTimeout", "OperationTimeout", "ms", "1000", "1s"},
	{"requestUriIgnorePattern", "RequestURIIgnorePattern", "", "none", ""},
	{"sessionBackupAsync", "SessionBackupSync", "", "true", "false"},
	{"sessionBackupTimeout", "SessionBackupTimeout", "ms", "100", "100ms"},
	{"backupThreadCount", "BackupThreadCount", "", "CPUs", cpus},
	{"sessionAttributeFilter", "SessionAttributeFilter", "", "all", ""},
	{"transcoderFactoryClass", "Transcoder", "", "Java serialization", "JSON"},
	{"copyCollectionsForSerialization", "", "", "false", ""},
	{"customConverter", "Transcoder", "", "none", "JSON"},
	{"enableStatistics", "DisableStatistics", "", "true", "false"},
	{"enabled", "Disabled", "", "true", "false"},
	{"storageKeyPrefix", "StorageKeyPrefix", "", "webappVersion", ""},
	{"maxInactiveInterval sessionTimeout <Context>", "MaxInactiveInterval", "s, min", "1800", "30m0s"},
	{"jvmRoute <Engine>", "Route", "", "none", ""},
	{"path webappVersion <Context> name <Host>", "Context Version Host", "", "none", ""},
	{"sessionCookieName sessionCookiePath sessionCookieDomain sameSiteCookies", "Cookie", "", "JSESSIONID", notShown},
	{"maxActiveSessions", "", "", "unlimited", ""},
}

// notShown is what site.inForce says of settings that nobody is shown.
const notShown = "not shown"

// cpus stands for GOMAXPROCS, which may change before the test (-cpu, or the limits
// of a container).
const cpus = "GOMAXPROCS"

var quoted = regexp.MustCompile("`([^`]+)`")

// names returns what stands in backticks.
func names(cell string) []string {
	var all []string
	for _, m := range quoted.FindAllStringSubmatch(cell, -1) {
		all = append(all, m[1])
	}
	return all
}

// readmeTable is the rows of the README's table of attributes.
func readmeTable(t *testing.T) [][]string {
	t.Helper()
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	const head = "| MSM | `msm.Config` | unit | default | what differs |\n|---|---|---|---|---|\n"
	_, rest, found := strings.Cut(string(readme), head)
	if !found {
		t.Fatalf("README.md has no table that begins with %q", head)
	}
	var rows [][]string
	for line := range strings.Lines(rest) {
		line = strings.TrimSpace(line)
		if !strings.HasPrefix(line, "|") {
			break
		}
		cells := strings.Split(strings.Trim(line, "|"), "|")
		if len(cells) != 5 {
			t.Fatalf("%q has %d cells, want 5", line, len(cells))
		}
		rows = append(rows, cells)
	}
	return rows
}

// The README's table is that of rows, which the tests go through.
func TestReadme(t *testing.T) {
	config := reflect.TypeFor[msm.Config]()
	told := readmeTable(t)
	if len(told) != len(rows) {
		t.Errorf("the README has %d attributes, want %d", len(told), len(rows))
	}
	for i, row := range rows[:min(len(rows), len(told))] {
		cells := told[i]
		want := []string{row.name, row.field, row.unit, row.standard}
		got := []string{
			strings.Join(names(cells[0]), " "), strings.Join(names(cells[1]), " "),
			strings.TrimSpace(cells[2]), strings.Trim(cells[3], " `"),
		}
		if !slices.Equal(got, want) {
			t.Errorf("the README's row %d says %q, want %q", i+1, got, want)
		}
		for field := range strings.FieldsSeq(row.field) {
			if _, ok := config.FieldByName(field); !ok {
				t.Errorf("%s: Config has no field %s", row.name, field)
			}
		}
	}
}

// CFG-02: the defaults that the table tells are in force.
func TestDefaultsInForce(t *testing.T) {
	cfg, m, err := load(manager(""))
	if err != nil {
		t.Fatal(err)
	}
	defer m.Shutdown(t.Context())
	s := &site{t: t, cfg: cfg, manager: m}
	for _, row := range rows {
		for field := range strings.FieldsSeq(row.field) {
			want := row.inForce
			if want == cpus {
				want = fmt.Sprint(runtime.GOMAXPROCS(0))
			}
			if got := s.inForce(field); got != want {
				t.Errorf("%s: %s is %q by default, want %q", row.name, field, got, want)
			}
		}
	}
}

// Every attribute is tested: what it takes and refuses, and its change at run
// time.
func TestEveryAttributeIsTested(t *testing.T) {
	var read, changed []string
	for _, a := range attributes {
		read = append(read, a.name)
	}
	for _, a := range atRunTime {
		changed = append(changed, a.name)
	}
	for _, row := range rows {
		name, around, _ := strings.Cut(row.name, " ")
		if row.field != "" && !slices.Contains(changed, name) {
			t.Errorf("no test of a change of %s", name)
		}
		if around != "" {
			continue // an attribute of Context or Engine: tomcat_test.go
		}
		if !slices.Contains(read, name) {
			t.Errorf("no test of %s", name)
		}
		// What is refused as unknown would be refused here.
		if _, m, err := load(manager(name + `="x"`)); err == nil {
			m.Shutdown(t.Context())
		} else if strings.Contains(err.Error(), name+" is no attribute") {
			t.Errorf("%s is not known: %v", name, err)
		}
	}
}
