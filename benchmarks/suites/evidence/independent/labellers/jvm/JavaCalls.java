import com.sun.source.tree.AnnotatedTypeTree;
import com.sun.source.tree.CompilationUnitTree;
import com.sun.source.tree.IdentifierTree;
import com.sun.source.tree.MemberSelectTree;
import com.sun.source.tree.MethodInvocationTree;
import com.sun.source.tree.NewClassTree;
import com.sun.source.tree.ParameterizedTypeTree;
import com.sun.source.tree.Tree;
import com.sun.source.tree.VariableTree;
import com.sun.source.util.JavacTask;
import com.sun.source.util.SourcePositions;
import com.sun.source.util.TreeScanner;
import com.sun.source.util.Trees;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.net.URI;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import javax.tools.Diagnostic;
import javax.tools.DiagnosticCollector;
import javax.tools.JavaCompiler;
import javax.tools.JavaFileObject;
import javax.tools.SimpleJavaFileObject;
import javax.tools.ToolProvider;

/**
 * The calls of Java files, by javac's own parser. Input and output as in python_calls.py.
 *
 * `this(...)` and `super(...)` are words of the language; an enum's constants are no calls by name.
 */
final class JavaCalls extends TreeScanner<Void, Void> {
    private final CompilationUnitTree unit;
    private final SourcePositions positions;
    private final List<Json.Call> calls = new ArrayList<>();

    private JavaCalls(CompilationUnitTree unit, SourcePositions positions) {
        this.unit = unit;
        this.positions = positions;
    }

    @Override
    public Void visitMethodInvocation(MethodInvocationTree node, Void nothing) {
        add(node.getMethodSelect());
        return super.visitMethodInvocation(node, nothing);
    }

    @Override
    public Void visitNewClass(NewClassTree node, Void nothing) {
        add(node.getIdentifier());
        return super.visitNewClass(node, nothing);
    }

    @Override
    public Void visitVariable(VariableTree node, Void nothing) {
        if (isConstant(node)) {
            NewClassTree made = (NewClassTree) node.getInitializer();
            scan(made.getArguments(), nothing);
            return scan(made.getClassBody(), nothing);
        }
        return super.visitVariable(node, nothing);
    }

    /** javac reads the constant A of enum E as if it were `E A = new E()`, with the name's own place for all of it. */
    private boolean isConstant(VariableTree node) {
        return node.getInitializer() instanceof NewClassTree made
                && node.getType() != null
                && positions.getStartPosition(unit, node.getType())
                        == positions.getStartPosition(unit, made.getIdentifier());
    }

    private void add(Tree callee) {
        if (callee instanceof AnnotatedTypeTree annotated) {
            add(annotated.getUnderlyingType());
        } else if (callee instanceof ParameterizedTypeTree parameterized) {
            add(parameterized.getType());
        } else if (callee instanceof MemberSelectTree member) {
            add(member.getIdentifier().toString(), positions.getEndPosition(unit, member) - 1);
        } else if (callee instanceof IdentifierTree name) {
            add(name.getName().toString(), positions.getStartPosition(unit, name));
        }
    }

    private void add(String name, long offset) {
        if (!name.equals("this") && !name.equals("super")) {
            calls.add(new Json.Call(name, (int) offset));
        }
    }

    private static String labelled(JavaCompiler compiler, String path, String text) throws IOException {
        DiagnosticCollector<JavaFileObject> said = new DiagnosticCollector<>();
        JavaFileObject file = new SimpleJavaFileObject(URI.create("string:///File.java"), JavaFileObject.Kind.SOURCE) {
            @Override
            public CharSequence getCharContent(boolean ignoreEncodingErrors) {
                return text;
            }
        };
        JavacTask task = (JavacTask) compiler.getTask(null, null, said, List.of("-proc:none"), null, List.of(file));
        List<Json.Call> calls = new ArrayList<>();
        for (CompilationUnitTree unit : task.parse()) {
            JavaCalls scanner = new JavaCalls(unit, Trees.instance(task).getSourcePositions());
            scanner.scan(unit, null);
            calls.addAll(scanner.calls);
        }
        long errors = said.getDiagnostics().stream().filter(one -> one.getKind() == Diagnostic.Kind.ERROR).count();
        return Json.answer(path, text, calls, errors);
    }

    public static void main(String[] arguments) throws IOException {
        JavaCompiler compiler = ToolProvider.getSystemJavaCompiler();
        PrintStream out = new PrintStream(System.out, true, StandardCharsets.UTF_8);
        BufferedReader lines = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String line = lines.readLine(); line != null; line = lines.readLine()) {
            Map<String, String> file = Json.texts(line);
            out.println(labelled(compiler, file.get("path"), file.get("text")));
        }
    }
}
