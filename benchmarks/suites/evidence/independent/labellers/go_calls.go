// The calls of Go files, by go/parser and go/ast. Input and output as in python_calls.py.
//
// A conversion `T(x)` looks like a call to a parser, and counts; the names of Go's own types are left out later.
// `f[T](x)` and `handlers[key](x)` look alike too: the first counts, a name being called, where the index can only be a
// type or the parser has resolved the name to a function.
package main

import (
	"bufio"
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
)

type asked struct {
	Path string `json:"path"`
	Text string `json:"text"`
}

type said struct {
	Path   string           `json:"path"`
	Calls  [][2]interface{} `json:"calls"`
	Errors int              `json:"errors"`
}

var predeclared = map[string]bool{
	"any": true, "bool": true, "byte": true, "comparable": true, "complex64": true, "complex128": true, "error": true,
	"float32": true, "float64": true, "int": true, "int8": true, "int16": true, "int32": true, "int64": true,
	"rune": true, "string": true, "uint": true, "uint8": true, "uint16": true, "uint32": true, "uint64": true,
	"uintptr": true,
}

func name(callee ast.Expr) *ast.Ident {
	switch callee := callee.(type) {
	case *ast.Ident:
		return callee
	case *ast.SelectorExpr:
		return callee.Sel
	case *ast.IndexListExpr:
		return name(callee.X)
	case *ast.IndexExpr:
		if isFunction(callee.X) || (isType(callee.Index) && !isVariable(callee.X)) {
			return name(callee.X)
		}
	}
	return nil
}

// Whether an index can only be a type, or is most likely one: an exported name, alone or of a package.
func isType(index ast.Expr) bool {
	switch index := index.(type) {
	case *ast.ArrayType, *ast.MapType, *ast.FuncType, *ast.ChanType, *ast.InterfaceType, *ast.StructType, *ast.StarExpr:
		return true
	case *ast.Ident:
		if index.Obj != nil {
			return index.Obj.Kind == ast.Typ
		}
		return predeclared[index.Name] || index.IsExported()
	case *ast.SelectorExpr:
		of, isName := index.X.(*ast.Ident)
		return isName && of.Obj == nil && index.Sel.IsExported()
	case *ast.IndexExpr:
		return isType(index.X) || isType(index.Index)
	}
	return false
}

func isFunction(callee ast.Expr) bool {
	named, isName := callee.(*ast.Ident)
	return isName && named.Obj != nil && named.Obj.Kind == ast.Fun
}

func isVariable(callee ast.Expr) bool {
	named, isName := callee.(*ast.Ident)
	return isName && named.Obj != nil && named.Obj.Kind == ast.Var
}

func labelled(file asked) said {
	answer := said{Path: file.Path, Calls: [][2]interface{}{}}
	set := token.NewFileSet()
	tree, err := parser.ParseFile(set, file.Path, file.Text, 0)
	if err != nil {
		answer.Errors = 1
		return answer
	}
	ast.Inspect(tree, func(node ast.Node) bool {
		if call, isCall := node.(*ast.CallExpr); isCall {
			if called := name(call.Fun); called != nil {
				at := set.PositionFor(called.Pos(), false).Line
				answer.Calls = append(answer.Calls, [2]interface{}{called.Name, at})
			}
		}
		return true
	})
	return answer
}

func main() {
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 1<<26)
	out := json.NewEncoder(os.Stdout)
	for lines.Scan() {
		var file asked
		if err := json.Unmarshal(lines.Bytes(), &file); err != nil {
			panic(err)
		}
		if err := out.Encode(labelled(file)); err != nil {
			panic(err)
		}
	}
}
