package archtest

import (
	"fmt"
	"go/ast"
	"go/token"
	"go/types"
	"slices"
	"strings"
	"testing"
)

// checkGlobals wants package variables that never change: error values and
// tables, initialised where they are declared and not assigned anywhere.
func checkGlobals(t *testing.T, packages map[string][]source) {
	for dir, sources := range packages {
		sources = slices.DeleteFunc(slices.Clone(sources), source.isTest)
		if inBenchmarks(dir) || slices.Contains(notLibrary, dir) || len(sources) == 0 {
			continue
		}
		for _, s := range sources {
			for _, decl := range s.file.Decls {
				if g, ok := decl.(*ast.GenDecl); ok && g.Tok == token.VAR {
					checkVars(t, s, g)
				}
			}
		}
		checkAssignments(t, dir, sources)
	}
}

func checkVars(t *testing.T, s source, g *ast.GenDecl) {
	for _, spec := range g.Specs {
		v := spec.(*ast.ValueSpec)
		if len(v.Values) == 0 {
			t.Errorf("%s: %v has no value: a variable that changes?", s.pos(v), v.Names)
		}
		for _, value := range v.Values {
			if !isConstantTable(value) {
				t.Errorf("%s: %v is more than an error value or a table", s.pos(v), v.Names)
			}
		}
	}
}

// isConstantTable tells whether a variable with this initial value is one that
// only lacks the word const: an error, a pattern, a literal without locks.
func isConstantTable(value ast.Expr) bool {
	switch value := value.(type) {
	case *ast.CallExpr:
		return slices.Contains([]string{"errors.New", "fmt.Errorf", "regexp.MustCompile", "reflect.TypeFor", "base32.NewEncoding", "strings.NewReplacer",
			"crc32.MakeTable", "crc64.MakeTable", "time.Unix", "time.Date"}, calledName(value.Fun)) || isConversion(value)
	case *ast.CompositeLit:
		_, qualified := value.Type.(*ast.SelectorExpr)
		return !qualified || len(value.Elts) > 0 // not sync.Pool{}, sync.Mutex{}, atomic.Int64{}
	case *ast.SelectorExpr, *ast.BasicLit, *ast.Ident, *ast.FuncLit:
		return true
	}
	return false
}

// isConversion recognises []byte("..."), (*T)(nil) and T("...").
func isConversion(call *ast.CallExpr) bool {
	switch fun := call.Fun.(type) {
	case *ast.ArrayType, *ast.ParenExpr:
		return true
	case *ast.Ident:
		if len(call.Args) != 1 {
			return false
		}
		_, literal := call.Args[0].(*ast.BasicLit)
		return literal && !strings.HasPrefix(strings.ToLower(fun.Name), "new")
	}
	return false
}

// calledName is package.function of a call; instantiations are looked through,
// as are methods on what such a call returned.
func calledName(fun ast.Expr) string {
	switch fun := fun.(type) {
	case *ast.IndexExpr:
		return calledName(fun.X)
	case *ast.SelectorExpr:
		switch x := fun.X.(type) {
		case *ast.Ident:
			return x.Name + "." + fun.Sel.Name
		case *ast.CallExpr:
			return calledName(x.Fun)
		}
	}
	return ""
}

// checkAssignments finds writes to package variables. Imports are not loaded:
// what the names of the package itself mean needs none.
func checkAssignments(t *testing.T, dir string, sources []source) {
	config := types.Config{Importer: noImports{}, Error: func(error) {}}
	info := &types.Info{Uses: map[*ast.Ident]types.Object{}}
	files := make([]*ast.File, len(sources))
	for i, s := range sources {
		files[i] = s.file
	}
	pkg, _ := config.Check(module+"/"+dir, sources[0].fset, files, info) // errors are the missing imports

	global := func(e ast.Expr) bool {
		id := rootIdent(e)
		v, ok := info.Uses[id].(*types.Var)
		return id != nil && ok && v.Parent() == pkg.Scope()
	}
	for _, s := range sources {
		ast.Inspect(s.file, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.AssignStmt:
				for _, lhs := range n.Lhs {
					if n.Tok != token.DEFINE && global(lhs) {
						t.Errorf("%s: a package variable is assigned", s.pos(n))
					}
				}
			case *ast.IncDecStmt:
				if global(n.X) {
					t.Errorf("%s: a package variable is changed", s.pos(n))
				}
			}
			return true
		})
	}
}

// rootIdent is x of x, x.f, x[i], *x and all their mixtures.
func rootIdent(e ast.Expr) *ast.Ident {
	for {
		switch x := e.(type) {
		case *ast.Ident:
			return x
		case *ast.SelectorExpr:
			e = x.X
		case *ast.IndexExpr:
			e = x.X
		case *ast.StarExpr:
			e = x.X
		case *ast.ParenExpr:
			e = x.X
		default:
			return nil
		}
	}
}

type noImports struct{}

func (noImports) Import(name string) (*types.Package, error) {
	return nil, fmt.Errorf("%s is not loaded", name)
}
