package tomcat_test

import (
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/seed99545744/msm/msm"
)

// specified are all attributes of MSM's Manager: msm.md, 1.1.
var specified = []string{
	"memcachedNodes", "failoverNodes", "memcachedProtocol", "username", "password", "sticky", "lockingMode", "lockExpiration",
	"operationTimeout", "requestUriIgnorePattern", "sessionBackupAsync", "sessionBackupTimeout", "backupThreadCount",
	"sessionAttributeFilter", "transcoderFactoryClass", "copyCollectionsForSerialization", "customConverter", "enableStatistics",
	"enabled", "storageKeyPrefix",
}

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

// The README names every attribute, and what it names is there.
func TestReadme(t *testing.T) {
	config := reflect.TypeFor[msm.Config]()
	var told []string
	for _, row := range readmeTable(t) {
		told = append(told, names(row[0])...)
		for _, field := range names(row[1]) {
			if _, ok := config.FieldByName(field); !ok {
				t.Errorf("%s: Config has no field %s", row[0], field)
			}
		}
		if strings.TrimSpace(row[3]) == "" {
			t.Errorf("%s has no default", row[0])
		}
	}
	for i, name := range specified {
		if i >= len(told) || told[i] != name {
			t.Errorf("attribute %d of the README's table is not %s: it has %v", i+1, name, told)
			break
		}
	}
}

// The tests go through every attribute, and so does the README's table.
func TestEveryAttributeIsTested(t *testing.T) {
	var tested []string
	for _, a := range attributes {
		tested = append(tested, a.name)
	}
	for _, name := range specified {
		if !slices.Contains(tested, name) {
			t.Errorf("no test of %s", name)
		}
	}
	// What is refused as unknown would be refused here.
	for _, name := range specified {
		if _, m, err := load(manager(name + `="x"`)); err == nil {
			m.Shutdown(t.Context())
		} else if strings.Contains(err.Error(), name+" is no attribute") {
			t.Errorf("%s is not known: %v", name, err)
		}
	}
}
