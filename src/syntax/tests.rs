//! Trees, outlines and problems on sound, broken and hostile texts.
#![cfg(feature = "grammars")]

use proptest::prelude::*;

use super::*;

fn parsed(text: &str, language: Language) -> Parsed {
    parse(&Text::from(text), language, None, &mut || false).unwrap()
}

/// One line for each symbol: its lines from 1, indentation by nesting, how it is declared.
fn shown(text: &str, language: Language) -> Vec<String> {
    let parsed = parsed(text, language);
    assert!(!parsed.is_broken(), "{language}: {}", parsed.tree.root_node().to_sexp());
    let outline = outline(&parsed, 1_000, &mut || false);
    assert!(!outline.more);
    let line = |symbol: &Symbol| {
        let Symbol { kind, name, signature, lines, depth, .. } = symbol;
        format!("{}-{} {}{kind:?} {name}: {signature}", lines.start + 1, lines.end, "  ".repeat(*depth))
    };
    outline.symbols.iter().map(line).collect()
}

#[test]
fn rust_declares() {
    let text = "use a::b;\nconst N: usize = 3;\n#[derive(Debug)]\npub struct Point {\n    x: f64,\n}\n\nimpl<T> fmt::Debug for Wrapper<T>\nwhere\n    T: Debug,\n{\n    fn fmt(\n        &self,\n        f: &mut Formatter<'_>,\n    ) -> Result {\n        fn inner() {}\n        inner()\n    }\n}\n\nmod tests {\n    trait Shape { fn area(&self) -> f64; }\n    macro_rules! m { () => {} }\n}\nenum E { A, B }\ntype Alias = Vec<u8>;\n";
    assert_eq!(
        shown(text, Language::Rust),
        [
            "2-2 Constant N: const N: usize = 3",
            "4-6 Struct Point: pub struct Point",
            "8-19 Implementation fmt::Debug for Wrapper<T>: impl<T> fmt::Debug for Wrapper<T> where T: Debug",
            "12-18   Function fmt: fn fmt( &self, f: &mut Formatter<'_>, ) -> Result",
            "21-24 Module tests: mod tests",
            "22-22   Interface Shape: trait Shape",
            "22-22     Function area: fn area(&self) -> f64",
            "23-23   Macro m: macro_rules! m",
            "25-25 Enum E: enum E",
            "26-26 Type Alias: type Alias = Vec<u8>",
        ]
    );
}

#[test]
fn python_and_lua_declare() {
    let text = "import os\nLIMIT = 3\n\nclass Shape(Base):\n    sides: int = 4\n\n    @property\n    def area(self) -> float:\n        def inner(): pass\n        return 1.0\n\nasync def main(a,\n               b):\n    x = 1\n";
    assert_eq!(
        shown(text, Language::Python),
        [
            "2-2 Variable LIMIT: LIMIT = 3",
            "4-10 Class Shape: class Shape(Base)",
            "8-10   Function area: def area(self) -> float",
            "12-14 Function main: async def main(a, b)",
        ]
    );
    let text = "local M = {}\nfunction M.open(path)\n  return path\nend\nlocal function helper() end\nM.close = function(self) end\nfunction M:run() end\nreturn M\n";
    assert_eq!(
        shown(text, Language::Lua),
        [
            "2-4 Function M.open: function M.open(path)",
            "5-5 Function helper: local function helper()",
            "6-6 Function M.close: M.close = function(self)",
            "7-7 Function M:run: function M:run()",
        ]
    );
}

#[test]
fn scripts_declare() {
    let text = "export const add = (a: number, b: number): number => {\n  const local = 1;\n  return a + b;\n};\nconst limit = 3;\nexport class Shape<T> extends Base {\n  private size = 1;\n  area(): number { return 1; }\n  handler = () => {};\n}\ninterface Named { name(): string }\ntype Id = string | number;\nenum Color { Red }\nnamespace Deep { export function f() {} }\ndescribe('x', () => { const no = 1; function yes() {} });\n";
    let expected = [
        "1-4 Function add: add = (a: number, b: number): number",
        "5-5 Variable limit: limit = 3",
        "6-10 Class Shape: class Shape<T> extends Base",
        "8-8   Method area: area(): number",
        "9-9   Method handler: handler = ()",
        "11-11 Interface Named: interface Named",
        "11-11   Method name: name(): string",
        "12-12 Type Id: type Id = string | number",
        "13-13 Enum Color: enum Color",
        "14-14 Module Deep: namespace Deep",
        "14-14   Function f: function f()",
        "15-15 Function yes: function yes()",
    ];
    assert_eq!(shown(text, Language::TypeScript), expected);
    assert_eq!(shown(text, Language::Tsx), expected);
    let text =
        "class A { #p = 1; go() {} }\nfunction* gen() {}\nexports.run = function () {};\nconst el = <div>{x}</div>;\n";
    assert_eq!(
        shown(text, Language::JavaScript),
        [
            "1-1 Class A: class A",
            "1-1   Method go: go()",
            "2-2 Function gen: function* gen()",
            "3-3 Function exports.run: exports.run = function ()",
            "4-4 Variable el: el = <div>",
        ]
    );
}

#[test]
fn go_and_java_declare() {
    let text = "package p\n\nconst (\n\tA = 1\n)\n\nvar f = func() { var no = 1 }\n\ntype Shape struct {\n\tx int\n}\n\ntype Namer interface{ Name() string }\n\nfunc (s *Shape) Area(a, b int) (float64, error) {\n\treturn 0, nil\n}\n\nfunc main() {}\n";
    assert_eq!(
        shown(text, Language::Go),
        [
            "4-4 Constant A: const A = 1",
            "7-7 Variable f: var f = func()",
            "9-11 Struct Shape: type Shape struct",
            "13-13 Interface Namer: type Namer interface",
            "15-17 Method Area: func (s *Shape) Area(a, b int) (float64, error)",
            "19-19 Function main: func main()",
        ]
    );
    let text = "package p;\n\n@Deprecated\npublic class Shape extends Base {\n  Shape(int x) {}\n  @Override public double area() { return 1; }\n  enum Kind { A }\n  interface Inner { void f(); }\n}\nrecord Pair(int a, int b) {}\n";
    assert_eq!(
        shown(text, Language::Java),
        [
            "3-9 Class Shape: @Deprecated public class Shape extends Base",
            "5-5   Method Shape: Shape(int x)",
            "6-6   Method area: @Override public double area()",
            "7-7   Enum Kind: enum Kind",
            "8-8   Interface Inner: interface Inner",
            "8-8     Method f: void f()",
            "10-10 Class Pair: record Pair(int a, int b)",
        ]
    );
}

#[test]
fn c_and_cpp_declare() {
    let text = "#include <a.h>\n#define MAX(a, b) ((a) > (b) ? (a) : (b))\ntypedef struct {\n  int x;\n} point;\nstruct node { struct node *next; };\nstatic int *find(struct node *n,\n                 int key);\nint main(void)\n{\n  int local(void);\n  return 0;\n}\nint counter;\n";
    assert_eq!(
        shown(text, Language::C),
        [
            "2-2 Macro MAX: #define MAX(a, b) ((a) > (b) ? (a) : (b))",
            "3-5 Type point: typedef struct … point",
            "6-6 Struct node: struct node",
            "7-8 Function find: static int *find(struct node *n, int key)",
            "9-13 Function main: int main(void)",
        ]
    );
    let text = "namespace a::b {\ntemplate <typename T>\nclass Box : public Base<T> {\n public:\n  explicit Box(T t) : t_(t) {}\n  T get() const;\n private:\n  T t_;\n};\nusing Ints = Box<int>;\nenum class Color { Red };\n}\nT a::b::Box::get() const { return t_; }\n";
    assert_eq!(
        shown(text, Language::Cpp),
        [
            "1-12 Module a::b: namespace a::b",
            "3-9   Class Box: class Box : public Base<T>",
            "5-5     Function Box: explicit Box(T t) : t_(t)",
            "6-6     Method get: T get() const",
            "10-10   Type Ints: using Ints = Box<int>",
            "11-11   Enum Color: enum class Color",
            "13-13 Function a::b::Box::get: T a::b::Box::get() const",
        ]
    );
}

fn wrong(text: &str, language: Language) -> Vec<String> {
    let problems = problems(&parsed(text, language), 10, &mut || false);
    problems.iter().map(|problem| format!("{}: {}", problem.lines.start + 1, problem.wrong)).collect()
}

#[test]
fn what_is_wrong_is_named_by_its_line() {
    assert_eq!(wrong("fn a() {}\n", Language::Rust), [""; 0]);
    let unclosed = "fn a() {\n    if x {\n        y();\n}\n\nfn b() {}\n";
    assert!(
        wrong(unclosed, Language::Rust).contains(&"1: `{` is not closed".to_owned()),
        "{:?}",
        wrong(unclosed, Language::Rust)
    );
    let extra = "fn a() {\n}\n}\nfn b() {}\n";
    assert!(
        wrong(extra, Language::Rust).contains(&"3: `}` closes nothing".to_owned()),
        "{:?}",
        wrong(extra, Language::Rust)
    );
    assert_eq!(wrong("fn a() {\n    let x = 1\n}\n", Language::Rust), ["2: `;` is missing"]);
    assert_eq!(wrong("def f(:\n    pass\n", Language::Python)[0], "1: `(` is not closed");
    assert_eq!(wrong("const s = `${a`;\n", Language::TypeScript)[0], "1: `{` is not closed");
    assert!(wrong("x = = 2\n", Language::Python)[0].starts_with("1: "));
    assert_eq!(wrong("fn a() { let s = \"(((\"; } // }}}\n", Language::Rust), [""; 0]);
}

#[test]
fn the_innermost_declaration_around_a_place_is_found() {
    let text = "mod m {\n    impl S {\n        fn go(&self) { let x = 1; }\n    }\n}\nfn out() {}\n";
    let parsed = parsed(text, Language::Rust);
    let at = |needle: &str| enclosing(&parsed, text.find(needle).unwrap()).map(|symbol| symbol.name);
    assert_eq!(at("let x").as_deref(), Some("go"));
    assert_eq!(at("impl").as_deref(), Some("S"));
    assert_eq!(at("out").as_deref(), Some("out"));
    assert_eq!(enclosing(&parsed, usize::MAX), None);
}

#[test]
fn what_is_too_large_or_nests_too_deep_is_not_parsed() {
    let parse = |text: &str| parse(&Text::from(text), Language::Rust, None, &mut || false).map(drop);
    assert_eq!(parse(&"(".repeat(1 << 20)), Err(ParseError::TooDeep));
    assert_eq!(parse(&"x".repeat(MAX_BYTES + 1)), Err(ParseError::TooLarge(MAX_BYTES + 1)));
    // Deep, but not too deep: nothing here recurses.
    let deep = format!("fn f() {{ {}{} }}", "(".repeat(4_900), ")".repeat(4_900));
    let text = Text::from(deep.as_str());
    let parsed = super::parse(&text, Language::Rust, None, &mut || false).unwrap();
    assert_eq!(outline(&parsed, 10, &mut || false).symbols.len(), 1);
    assert!(enclosing(&parsed, deep.len() / 2).is_some());
    let broken = Text::from(deep.replace(')', "").as_str());
    let broken = super::parse(&broken, Language::Rust, Some(&parsed), &mut || false).unwrap();
    assert!(!problems(&broken, 10, &mut || false).is_empty());
}

#[test]
fn a_hostile_text_ends_when_it_is_stopped() {
    for language in Language::ALL {
        for piece in
            ["!", "-", "a.", "if a ", "<", "\"", "`", "a b ", " \n\t", "/*", "\\", "'''", "\u{0}", "😀", "else "]
        {
            let text = Text::from(piece.repeat(100_000 / piece.len()).as_str());
            let mut asked = 0;
            let mut stop = || {
                asked += 1;
                asked > 200
            };
            match parse(&text, language, None, &mut stop) {
                Err(error) => assert_eq!(error, ParseError::Stopped, "{language} {piece:?}"),
                Ok(parsed) => {
                    problems(&parsed, 10, &mut || false);
                    outline(&parsed, 10, &mut || false);
                }
            }
        }
    }
}

#[test]
fn a_walk_that_is_stopped_says_that_there_is_more() {
    let text = "fn f() {}\n".repeat(5_000);
    let parsed = parsed(&text, Language::Rust);
    assert!(outline(&parsed, usize::MAX, &mut || true).more);
    let first = outline(&parsed, 3, &mut || false);
    assert!(first.more && first.symbols.len() == 3);
    assert_eq!(outline(&parsed, 5_000, &mut || false).symbols.len(), 5_000);
}

const SAMPLES: [(Language, &str); 10] = [
    (
        Language::Rust,
        "/// Größe\nfn a(x: &str) -> u8 {\r\n    if x == \"{\" { b(1, [2, 3]) } else { 0 }\n}\n\nimpl S {\n    fn go() {}\n}\n",
    ),
    (
        Language::Python,
        "class A:\n    def f(self, x):\n        if x:\n            return [1, 2]\n        return f'{x} ü'\n\ndef g():\n    pass\n",
    ),
    (Language::Tsx, "export const f = (a: number) => <p>{a}</p>;\nclass A { m() { return `${1}`; } }\n"),
    (Language::Go, "package p\n\nfunc f(a int) (int, error) {\n\treturn a, nil\n}\n\ntype T struct{ x int }\n"),
    (
        Language::TypeScript,
        "interface A<T> { f(x: T): void }\nexport class B { #x = 1; get y() { return /a[/]b/; } }\n",
    ),
    (Language::JavaScript, "const f = async (a) => { for await (const b of a) c(`${b}`); };\nclass A { static { } }\n"),
    (Language::C, "#define M(x) (x)\nstruct s { int a[2]; };\nstatic int f(struct s *p) { return M(p->a[0]); }\n"),
    (
        Language::Cpp,
        "namespace n {\ntemplate <class T> struct S : B<T> { S() : x{1} {} int x; };\nauto s = R\"x(()x\";\n}\n",
    ),
    (
        Language::Java,
        "@A(b = {1})\nclass A<T> {\n  int f(T t) { return t == null ? 0 : switch (x) { default -> 1; }; }\n}\n",
    ),
    (
        Language::Lua,
        "local M = {}\nfunction M.f(a, ...)\n  if a then return [[long]] else return {a = 1} end\nend\nreturn M\n",
    ),
];

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_tree_made_from_an_earlier_one_says_the_same_as_one_made_anew(
        sample in 0..SAMPLES.len(),
        edits in prop::collection::vec((0.0..1.0_f64, 0..6_usize, "[a(){}\\[\\]\"';: \n\r\tü<>/=]{0,4}"), 1..8),
    ) {
        let (language, text) = SAMPLES[sample];
        let mut text = Text::from(text);
        let mut kept = parse(&text, language, None, &mut || false).unwrap();
        for (place, length, with) in edits {
            let start = (place * text.len() as f64) as usize;
            text.replace(start..start + length, &with);
            kept = parse(&text, language, Some(&kept), &mut || false).unwrap();
            let anew = parse(&Text::from(text.to_string().as_str()), language, None, &mut || false).unwrap();
            prop_assert_eq!(kept.is_broken(), anew.is_broken(), "{}", text);
            prop_assert_eq!(kept.tree.root_node().to_sexp(), anew.tree.root_node().to_sexp());
            prop_assert_eq!(outline(&kept, 100, &mut || false), outline(&anew, 100, &mut || false));
            prop_assert_eq!(problems(&kept, 100, &mut || false), problems(&anew, 100, &mut || false));
        }
    }

    #[test]
    fn no_text_is_too_strange_for_any_grammar(
        language in 0..Language::ALL.len(),
        bytes in prop::collection::vec(any::<u8>(), 0..600),
        snippet in 0..SAMPLES.len(),
        at in 0.0..1.0_f64,
    ) {
        // Bytes as they would be decoded, alone and in the middle of a program.
        let strange = String::from_utf8_lossy(&bytes);
        let sample = SAMPLES[snippet].1;
        let at = sample.floor_char_boundary((at * sample.len() as f64) as usize);
        let amid = format!("{}{strange}{}", &sample[..at], &sample[at..]);
        let language = Language::ALL[language];
        let mut previous = None;
        for text in [&*strange, &amid] {
            let text = Text::from(text);
            let parsed = parse(&text, language, previous.as_ref(), &mut || false).unwrap();
            for symbol in outline(&parsed, 1_000, &mut || false).symbols {
                prop_assert!(symbol.bytes.end <= text.len() && symbol.lines.start < symbol.lines.end);
                prop_assert!(!symbol.signature.contains(['\n', '\r']) && symbol.signature.chars().count() <= 201);
            }
            for problem in problems(&parsed, 1_000, &mut || false) {
                prop_assert!(problem.bytes.end <= text.len() && problem.lines.start < problem.lines.end);
            }
            enclosing(&parsed, text.len() / 2);
            previous = Some(parsed);
        }
    }

    #[test]
    fn the_edit_between_two_texts_is_the_one_stretch_in_which_they_differ(before in "[aü\n]{0,12}", after in "[aü\n]{0,12}") {
        let (old, new) = (Text::from(before.as_str()), Text::from(after.as_str()));
        match diff::stretch(&old, &new) {
            None => prop_assert_eq!(before, after),
            Some((from, to)) => {
                let mut made = before.clone();
                made.replace_range(from.clone(), &after[to.clone()]);
                prop_assert_eq!(&made, &after);
                let edit = edit_between(&old, &new).unwrap();
                let place = |text: &str, at: usize| {
                    let head = &text[..at];
                    Point::new(head.matches('\n').count(), at - head.rfind('\n').map_or(0, |last| last + 1))
                };
                prop_assert_eq!(edit.start_position, place(&before, from.start));
                prop_assert_eq!(edit.old_end_position, place(&before, from.end));
                prop_assert_eq!(edit.new_end_position, place(&after, to.end));
            }
        }
    }
}
