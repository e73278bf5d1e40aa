package msm

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// groups are the cases of the two specifications and how many each group has:
// msm.md, section 11 (CFG to REQ), sessions.md, section 4 (SR), and the rows of its
// section 5 in their order (ROW).
var groups = map[string]int{"CFG": 13, "NODE": 13, "ID": 10, "STK": 31, "NST": 35, "AV": 6, "STAT": 4, "REQ": 10, "SR": 65, "ROW": 26}

// TestEveryCaseIsShownOrLeftOut fails when the table of cases is stale: a case
// is not in it, a test is gone or says nothing of its case, or there is a test
// by now for what the table leaves out.
func TestEveryCaseIsShownOrLeftOut(t *testing.T) {
	mentions := testsOfCases(t)
	listed := make(map[string]bool)
	for _, c := range cases {
		if listed[c.id] {
			t.Errorf("%s is listed twice", c.id)
		}
		listed[c.id] = true
		switch {
		case (c.shown == "") == (c.leftOut == ""):
			t.Errorf("%s: say which tests show it, or why none does", c.id)
		case c.leftOut != "" && len(mentions[c.id]) > 0:
			t.Errorf("%s is left out, and named by %v: list them", c.id, mentions[c.id])
		}
		for test := range strings.FieldsSeq(c.shown) {
			if !mentions[c.id][test] {
				t.Errorf("%s: there is no %s that names the case", c.id, test)
			}
		}
	}
	for id, how := range departures {
		i := slices.IndexFunc(cases, func(c specCase) bool { return c.id == id })
		if i < 0 || cases[i].shown == "" || how == "" {
			t.Errorf("the departure of %s is that of no case that is shown", id)
		}
	}
	for group, n := range groups {
		for i := range n {
			if id := fmt.Sprintf("%s-%02d", group, i+1); !listed[id] {
				t.Errorf("%s is missing", id)
			}
		}
	}
}

// testsOfCases returns the tests and fuzz targets that name a case, in their
// name, their comment, their body or a table of theirs, by case.
func testsOfCases(t *testing.T) map[string]map[string]bool {
	t.Helper()
	mentions := make(map[string]map[string]bool)
	eachTestFile(t, func(parsed *ast.File, source func(ast.Node) string) {
		tables := make(map[string]string)
		for name, object := range packageVars(parsed) {
			tables[name] = source(object)
		}
		for _, decl := range parsed.Decls {
			f, ok := decl.(*ast.FuncDecl)
			if !ok || !strings.HasPrefix(f.Name.Name, "Test") && !strings.HasPrefix(f.Name.Name, "Fuzz") {
				continue
			}
			said := strings.NewReplacer("TestChaos", "", "TestFailure", "Row ", "Test", "").Replace(f.Name.Name) + "\n" + f.Doc.Text() + source(f)
			ast.Inspect(f.Body, func(n ast.Node) bool {
				if id, ok := n.(*ast.Ident); ok {
					said += "\n" + tables[id.Name]
				}
				return true
			})
			for _, id := range casesIn(said) {
				if mentions[id] == nil {
					mentions[id] = make(map[string]bool)
				}
				mentions[id][f.Name.Name] = true
			}
		}
	})
	return mentions
}

// eachTestFile parses the test files of this package; source is the text of a
// node.
func eachTestFile(t *testing.T, f func(parsed *ast.File, source func(ast.Node) string)) {
	t.Helper()
	files, err := filepath.Glob("*_test.go")
	must(t, err)
	for _, file := range files {
		text, err := os.ReadFile(file)
		must(t, err)
		set := token.NewFileSet()
		parsed, err := parser.ParseFile(set, file, text, parser.ParseComments|parser.SkipObjectResolution)
		must(t, err)
		f(parsed, func(n ast.Node) string {
			return string(text[set.Position(n.Pos()).Offset:set.Position(n.End()).Offset])
		})
	}
}

// packageVars returns the variables of a file, but not the table of cases.
func packageVars(f *ast.File) map[string]ast.Node {
	vars := make(map[string]ast.Node)
	for _, decl := range f.Decls {
		g, ok := decl.(*ast.GenDecl)
		if !ok || g.Tok != token.VAR {
			continue
		}
		for _, spec := range g.Specs {
			for _, name := range spec.(*ast.ValueSpec).Names {
				if name.Name != "cases" {
					vars[name.Name] = spec
				}
			}
		}
	}
	return vars
}

var (
	namedCase = regexp.MustCompile(`\b(CFG|NODE|ID|STK|NST|AV|STAT|REQ|SR)-?(\d\d)(?:_|\b)`)
	namedRow  = regexp.MustCompile(`\bRow (\d+)(?:_|\b)`)
)

// casesIn returns the cases that a text names: as STK-14, as in TestSTK14_X, or
// as Row 5.
func casesIn(text string) (ids []string) {
	for _, match := range namedCase.FindAllStringSubmatch(text, -1) {
		ids = append(ids, match[1]+"-"+match[2])
	}
	for _, match := range namedRow.FindAllStringSubmatch(text, -1) {
		ids = append(ids, fmt.Sprintf("ROW-%02s", match[1]))
	}
	return ids
}
