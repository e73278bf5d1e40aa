// Package archtest holds one test: that the code keeps to ARCHITECTURE.md and
// to those house rules of CONTRIBUTING.md that a program can check.
package archtest

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/seed99545744/msm"

// root is the module's folder, seen from this package's.
const root = "../.."

// benchmarksDir is a module of its own: peers may be imported there, and
// programs have their own ways; only the size of files is checked.
const benchmarksDir = "benchmarks"

// notLibrary are the packages that no user's program contains.
var notLibrary = []string{"internal/archtest", "internal/demo", "internal/leaktest", "internal/memcached", "internal/wiretest", "fuzz"}

// mayPanic are the functions that do, and why.
var mayPanic = map[string]string{
	"memcache/memcachetest.NewServer": "like httptest.NewServer: without a free port on loopback no test can go on",
}

func TestArchitecture(t *testing.T) {
	table := readImportTable(t)
	packages := parseTree(t)

	t.Run("imports", func(t *testing.T) { checkImports(t, table, packages) })
	t.Run("files", func(t *testing.T) { checkFiles(t, packages) })
	t.Run("functions", func(t *testing.T) { checkFunctions(t, packages) })
	t.Run("globals", func(t *testing.T) { checkGlobals(t, packages) })
	t.Run("top level", checkTopLevel)
	t.Run("requirements", checkRequirements)
}

// source is one parsed file.
type source struct {
	path string // from the module's root, with slashes
	file *ast.File
	fset *token.FileSet
}

func (s source) isTest() bool { return strings.HasSuffix(s.path, "_test.go") }

func (s source) pos(n ast.Node) string {
	p := s.fset.Position(n.Pos())
	p.Filename = s.path
	return p.String()
}

// parseTree parses every Go file of the repository, by folder.
func parseTree(t *testing.T) map[string][]source {
	t.Helper()
	packages := map[string][]source{}
	fset := token.NewFileSet()
	err := filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, name)
		if err != nil {
			return err
		}
		rel = filepath.ToSlash(rel)
		if d.IsDir() {
			if rel != "." && (strings.HasPrefix(d.Name(), ".") || d.Name() == "testdata") {
				return fs.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(rel, ".go") {
			return nil
		}
		f, err := parser.ParseFile(fset, name, nil, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		dir := path.Dir(rel)
		packages[dir] = append(packages[dir], source{rel, f, fset})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(packages["internal/archtest"]) == 0 {
		t.Fatalf("%s does not hold this test: is it the repository?", root)
	}
	return packages
}

func inBenchmarks(dir string) bool {
	return dir == benchmarksDir || strings.HasPrefix(dir, benchmarksDir+"/")
}

// rule is one line of the import table.
type rule struct{ imports, never []string }

var ruleLine = regexp.MustCompile(`^(\S+)\s+imports ([^;]+)(?:; never (.+))?$`)

// readImportTable reads the fenced block that ARCHITECTURE.md calls "imports".
func readImportTable(t *testing.T) map[string]rule {
	t.Helper()
	doc, err := os.ReadFile(filepath.Join(root, "ARCHITECTURE.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, block, found := strings.Cut(string(doc), "```imports\n")
	block, _, closed := strings.Cut(block, "```")
	if !found || !closed {
		t.Fatal("ARCHITECTURE.md has no block ```imports")
	}
	table := map[string]rule{}
	for line := range strings.Lines(block) {
		m := ruleLine.FindStringSubmatch(strings.TrimSpace(line))
		if m == nil {
			t.Fatalf("ARCHITECTURE.md: cannot read %q as «package imports a, b; never c»", line)
		}
		r := rule{never: splitList(m[3])}
		if m[2] != "nothing" {
			r.imports = splitList(m[2])
		}
		table[m[1]] = r
	}
	return table
}

func splitList(s string) []string {
	if s == "" {
		return nil
	}
	return strings.Split(s, ", ")
}

func checkImports(t *testing.T, table map[string]rule, packages map[string][]source) {
	for dir, sources := range packages {
		if inBenchmarks(dir) {
			continue
		}
		r, ok := table[dir]
		if !ok {
			t.Errorf("package %s is not in the table of ARCHITECTURE.md", dir)
			continue
		}
		for _, s := range sources {
			for _, spec := range s.file.Imports {
				if spec.Path.Value == `"unsafe"` && s.path != "internal/mux/socket_linux.go" {
					t.Errorf("%s: only the system calls of mux may be unsafe", s.pos(spec))
				}
				if why := r.forbids(dir, strings.Trim(spec.Path.Value, `"`), s.isTest()); why != "" {
					t.Errorf("%s: %s", s.pos(spec), why)
				}
			}
		}
	}
}

// forbids says why a file of dir must not import name; "" if it may.
func (r rule) forbids(dir, name string, test bool) string {
	local, ours := strings.CutPrefix(name, module+"/")
	standard := !strings.Contains(strings.Split(name, "/")[0], ".")
	allowed := slices.ContainsFunc(r.imports, func(a string) bool {
		return local == a || !ours && (name == a || strings.HasPrefix(name, a+"/"))
	})
	switch {
	case allowed, ours && local == dir:
		return ""
	case test && (ours || standard || strings.HasPrefix(name, "github.com/google/go-cmp/")):
		return ""
	case standard && slices.ContainsFunc(r.never, func(n string) bool { return name == n || strings.HasPrefix(name, n+"/") }):
		return dir + " must do without " + name
	case standard:
		return ""
	}
	return dir + " must not import " + name
}

func checkFiles(t *testing.T, packages map[string][]source) {
	const maxLines = 500
	vague := []string{"util", "utils", "common", "helper", "helpers", "types"}
	for dir, sources := range packages {
		if slices.Contains(vague, path.Base(dir)) {
			t.Errorf("%s: a name that says nothing", dir)
		}
		for _, s := range sources {
			stem := strings.TrimSuffix(strings.TrimSuffix(path.Base(s.path), ".go"), "_test")
			if slices.Contains(vague, stem) {
				t.Errorf("%s: a name that says nothing", s.path)
			}
			if n := s.fset.File(s.file.FileStart).LineCount(); n > maxLines+1 {
				t.Errorf("%s: %d lines, more than %d: split it by noun", s.path, n-1, maxLines)
			}
		}
	}
}

// checkFunctions wants functions that fit on a screen, and none that panics
// or runs before main.
func checkFunctions(t *testing.T, packages map[string][]source) {
	const maxLines = 60
	for dir, sources := range packages {
		for _, s := range sources {
			if s.isTest() || inBenchmarks(dir) {
				continue
			}
			for _, decl := range s.file.Decls {
				f, ok := decl.(*ast.FuncDecl)
				if !ok || f.Body == nil {
					continue
				}
				if n := s.fset.Position(f.End()).Line - s.fset.Position(f.Pos()).Line + 1; n > maxLines {
					t.Errorf("%s: %s has %d lines, more than %d", s.pos(f), f.Name, n, maxLines)
				}
				if slices.Contains(notLibrary, dir) {
					continue
				}
				if f.Recv == nil && f.Name.Name == "init" {
					t.Errorf("%s: init", s.pos(f))
				}
				if _, ok := mayPanic[dir+"."+f.Name.Name]; !ok {
					checkPanics(t, s, f)
				}
			}
		}
	}
}

func checkPanics(t *testing.T, s source, f *ast.FuncDecl) {
	ast.Inspect(f, func(n ast.Node) bool {
		if call, ok := n.(*ast.CallExpr); ok {
			if name, ok := call.Fun.(*ast.Ident); ok && name.Name == "panic" {
				t.Errorf("%s: %s panics", s.pos(call), f.Name)
			}
		}
		return true
	})
}

func checkTopLevel(t *testing.T) {
	allowed := []string{
		"memcache", "ring", "msm", "internal", "benchmarks", "fuzz", "go.mod", "go.sum", "README.md", "ARCHITECTURE.md",
		"CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md", "LICENSE", "Makefile",
	}
	entries, err := os.ReadDir(root)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), ".") && !slices.Contains(allowed, e.Name()) {
			t.Errorf("%s stands at the top level; only these may: %v", e.Name(), allowed)
		}
	}
}

// checkRequirements wants no direct requirement beyond three, nor a replace.
func checkRequirements(t *testing.T) {
	allowed := map[string]bool{
		"github.com/cespare/xxhash/v2":  true,
		"github.com/klauspost/compress": true,
		"github.com/google/go-cmp":      true,
	}
	mod, err := os.ReadFile(filepath.Join(root, "go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	requirement := regexp.MustCompile(`^(?:require\s+)?(\S+\.\S+/\S+)\s+v\S+`)
	for line := range strings.Lines(string(mod)) {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "replace") {
			t.Errorf("go.mod: %s", line)
		}
		if m := requirement.FindStringSubmatch(line); m != nil && !allowed[m[1]] {
			t.Errorf("go.mod requires %s; only these may be: %v", m[1], slices.Sorted(maps.Keys(allowed)))
		}
	}
}
