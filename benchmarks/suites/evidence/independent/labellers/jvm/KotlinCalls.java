import com.intellij.openapi.Disposable;
import com.intellij.openapi.util.Disposer;
import com.intellij.psi.PsiErrorElement;
import com.intellij.psi.util.PsiTreeUtil;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.jetbrains.kotlin.cli.FrontendConfigurationKeysKt;
import org.jetbrains.kotlin.cli.common.messages.MessageCollector;
import org.jetbrains.kotlin.cli.jvm.compiler.EnvironmentConfigFiles;
import org.jetbrains.kotlin.cli.jvm.compiler.KotlinCoreEnvironment;
import org.jetbrains.kotlin.compiler.plugin.CompilerPluginRegistrar;
import org.jetbrains.kotlin.config.CommonConfigurationKeys;
import org.jetbrains.kotlin.config.CompilerConfiguration;
import org.jetbrains.kotlin.psi.KtCallExpression;
import org.jetbrains.kotlin.psi.KtExpression;
import org.jetbrains.kotlin.psi.KtFile;
import org.jetbrains.kotlin.psi.KtNameReferenceExpression;
import org.jetbrains.kotlin.psi.KtPostfixExpression;
import org.jetbrains.kotlin.psi.KtPsiFactory;
import org.jetbrains.kotlin.psi.KtSimpleNameExpression;
import org.jetbrains.kotlin.psi.KtSuperTypeCallEntry;
import org.jetbrains.kotlin.psi.KtUserType;

/**
 * The calls of Kotlin files, by the compiler's own syntax tree (PSI). Input and output as in python_calls.py.
 *
 * The constructor of a superclass is a call by name; annotations, infix calls, an enum's constants, `this(...)` and
 * `super(...)` are none.
 */
final class KotlinCalls {
    private static List<Json.Call> calls(KtFile file) {
        List<Json.Call> found = new ArrayList<>();
        for (KtCallExpression call : PsiTreeUtil.findChildrenOfType(file, KtCallExpression.class)) {
            KtExpression callee = call.getCalleeExpression();
            while (callee instanceof KtPostfixExpression sure && sure.getText().endsWith("!!")) {
                callee = sure.getBaseExpression();
            }
            if (callee instanceof KtNameReferenceExpression name) {
                add(found, name);
            }
        }
        for (KtSuperTypeCallEntry entry : PsiTreeUtil.findChildrenOfType(file, KtSuperTypeCallEntry.class)) {
            KtUserType type = entry.getTypeAsUserType();
            if (type != null && type.getReferenceExpression() != null) {
                add(found, type.getReferenceExpression());
            }
        }
        return found;
    }

    /** An enum's constant names its superclass without writing it. */
    private static void add(List<Json.Call> found, KtSimpleNameExpression name) {
        if (name.getTextLength() > 0 && !name.getReferencedName().isEmpty()) {
            found.add(new Json.Call(name.getReferencedName(), name.getTextRange().getStartOffset()));
        }
    }

    private static String labelled(KtPsiFactory factory, String path, String text) {
        KtFile file = factory.createFile(path.substring(path.lastIndexOf('/') + 1), text);
        int errors = PsiTreeUtil.findChildrenOfType(file, PsiErrorElement.class).size();
        return Json.answer(path, text, calls(file), errors);
    }

    @SuppressWarnings("deprecation")
    public static void main(String[] arguments) throws IOException {
        Disposable root = Disposer.newDisposable();
        CompilerConfiguration configuration = new CompilerConfiguration();
        configuration.put(CommonConfigurationKeys.MESSAGE_COLLECTOR_KEY, MessageCollector.Companion.getNONE());
        FrontendConfigurationKeysKt.setExtensionsStorage(configuration, new CompilerPluginRegistrar.ExtensionStorage());
        KotlinCoreEnvironment environment = KotlinCoreEnvironment.createForProduction(
                root, configuration, EnvironmentConfigFiles.JVM_CONFIG_FILES);
        KtPsiFactory factory = new KtPsiFactory(environment.getProject(), false);
        PrintStream out = new PrintStream(System.out, true, StandardCharsets.UTF_8);
        BufferedReader lines = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String line = lines.readLine(); line != null; line = lines.readLine()) {
            Map<String, String> file = Json.texts(line);
            out.println(labelled(factory, file.get("path"), file.get("text")));
        }
        Disposer.dispose(root);
    }
}
