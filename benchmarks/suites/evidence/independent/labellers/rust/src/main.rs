//! The calls of Rust files, by `syn`. Input and output as in python_calls.py.
//!
//! A macro is called by the last name of its path, wherever it stands; what stands in its arguments is no syntax yet.

use serde_json::{json, Value};
use std::io::BufRead;
use syn::visit::{self, Visit};

#[derive(Default)]
struct Calls(Vec<(String, usize)>);

impl Calls {
    fn add(&mut self, name: &syn::Ident) {
        let bare = name.to_string();
        let bare = bare.strip_prefix("r#").unwrap_or(&bare);
        self.0.push((bare.to_owned(), name.span().start().line));
    }

    fn add_last(&mut self, path: &syn::Path) {
        if let Some(segment) = path.segments.last() {
            self.add(&segment.ident);
        }
    }
}

impl<'ast> Visit<'ast> for Calls {
    fn visit_expr_call(&mut self, call: &'ast syn::ExprCall) {
        if let syn::Expr::Path(callee) = &*call.func {
            self.add_last(&callee.path);
        }
        visit::visit_expr_call(self, call);
    }

    fn visit_expr_method_call(&mut self, call: &'ast syn::ExprMethodCall) {
        self.add(&call.method);
        visit::visit_expr_method_call(self, call);
    }

    fn visit_macro(&mut self, call: &'ast syn::Macro) {
        self.add_last(&call.path);
    }

    /// `macro_rules! name` defines.
    fn visit_item_macro(&mut self, item: &'ast syn::ItemMacro) {
        if item.ident.is_none() {
            self.visit_macro(&item.mac);
        }
    }
}

fn labelled(file: &Value) -> Value {
    let path = file["path"].as_str().expect("a path");
    match syn::parse_file(file["text"].as_str().expect("a text")) {
        Err(_) => json!({"path": path, "calls": [], "errors": 1}),
        Ok(tree) => {
            let mut calls = Calls::default();
            calls.visit_file(&tree);
            calls.0.sort_by_key(|call| call.1);
            json!({"path": path, "calls": calls.0, "errors": 0})
        }
    }
}

fn main() {
    for line in std::io::stdin().lock().lines() {
        let file = serde_json::from_str(&line.expect("a line of UTF-8")).expect("a line of JSON");
        println!("{}", labelled(&file));
    }
}
