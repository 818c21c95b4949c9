"""Guards of authorization that go away or change, by language: what must be told, and what must stay silent."""

import pytest

from firstpass.evidence import gather, parse_diff
from firstpass.evidence.suspects import Suspect, suspects


def diff(path: str, lines: str, heading: str = "") -> str:
    """One file with one hunk; each line brings its sign."""
    body = "\n".join(line for line in lines.split("\n") if line)
    return f"diff --git a/{path} b/{path}\n--- a/{path}\n+++ b/{path}\n@@ -10,9 +10,9 @@ {heading}\n{body}\n"


def found(text: str) -> list[Suspect]:
    """All suspects, each on a line that the diff shows."""
    evidence, told = gather(text), suspects(parse_diff(text))
    assert all(one.line is None or evidence.shows(one.path, one.line) for one in told)
    assert all(len(one.text) <= 160 and one.text.endswith(".") for one in told)
    return list(told)


TOLD: dict[str, tuple[str, str]] = {
    "django decorator": ("a.py", "-@login_required\n def delete_user(request, pk):\n     User.objects.get(pk=pk).delete()"),
    "django decorator with arguments": ("a.py", "-@permission_required('app.delete', raise_exception=True)\n def drop(request):\n     pass"),
    "django test decorator": ("a.py", "-@user_passes_test(lambda u: u.is_superuser)\n def drop(request):\n     pass"),
    "django mixin": ("a.py", "-class Secret(LoginRequiredMixin, View):\n+class Secret(View):\n     template = 'x.html'"),
    "django csrf decorator": ("a.py", "-@csrf_protect\n def pay(request):\n     charge(request)"),
    "django middleware": ("settings.py", " MIDDLEWARE = [\n-    'django.middleware.csrf.CsrfViewMiddleware',\n     'x.Y',\n ]"),
    "django method decorator": ("a.py", "-@method_decorator(login_required, name='dispatch')\n class Panel(View):\n     pass"),
    "staff decorator": ("a.py", "-@staff_member_required\n def panel(request):\n     pass"),
    "flask decorator": ("a.py", " @app.route('/x')\n-@jwt_required()\n def x():\n     return secret()"),
    "flask roles": ("a.py", " @app.route('/x')\n-@roles_required('admin')\n def x():\n     return secret()"),
    "fastapi dependency of a parameter": ("a.py", "-async def drop(item: int, user: User = Depends(get_current_user)):\n+async def drop(item: int):\n     await remove(item)"),
    "fastapi dependency of a router": ("a.py", "-router = APIRouter(dependencies=[Depends(verify_token)])\n+router = APIRouter()"),
    "drf classes gone": ("a.py", " class Users(ModelViewSet):\n-    permission_classes = [IsAdminUser]\n     queryset = User.objects.all()"),
    "drf object check": ("a.py", " def get(self, request, pk):\n     obj = load(pk)\n-    self.check_object_permissions(request, obj)\n     return obj"),
    "tornado decorator": ("a.py", "-    @tornado.web.authenticated\n     def post(self):\n         self.save()"),
    "condition that raises": ("a.py", " def drop(request, pk):\n-    if not request.user.is_admin:\n-        raise PermissionDenied\n     remove(pk)\n     return ok()"),
    "condition that returns 403": ("a.py", " def drop(request, pk):\n-    if request.user != item.owner:\n-        return HttpResponseForbidden()\n     remove(pk)\n     return ok()"),
    "condition that aborts": ("a.py", " def drop(pk):\n-    if not current_user.can_edit(pk):\n-        abort(403)\n     remove(pk)\n     return ok()"),
    "condition around code that stays": ("a.py", " def page(user):\n-    if user.has_perm('see'):\n-        show()\n+    show()\n     return 1"),
    "a rewritten body without the check": ("a.py", " def drop(request, pk):\n-    if not request.user.is_admin:\n-        raise PermissionDenied\n-    item = Item.get(pk)\n-    item.delete()\n+    Item.filter(pk=pk).delete()\n "),
    "hmac": ("a.py", " def hook(body, signature):\n-    if not hmac.compare_digest(sign(body), signature):\n-        raise Invalid\n     run(body)\n     return 1"),
    "jwt call": ("a.py", " def who(token):\n-    verify_token(token)\n     return load(token)\n "),
    "path traversal": ("a.py", " def read(name):\n-    if '..' in name:\n-        raise ValueError(name)\n     return open(join(ROOT, name))\n "),
    "path inside": ("a.py", " def read(path):\n-    if not os.path.realpath(path).startswith(BASE_DIR):\n-        raise ValueError(path)\n     return open(path)\n "),
    "rate limit": ("a.py", "-@limiter.limit('5/minute')\n def login():\n     return check()"),
    "casbin": ("a.py", " def drop(user, item):\n-    if not enforcer.enforce(user, item, 'drop'):\n-        raise Denied()\n     remove(item)\n     return 1"),
    "the same decorator on another, new function": ("a.py", "-@login_required\n def old(request):\n     pass\n \n+@login_required\n+def new(request):\n+    pass"),
    "express middleware": ("a.js", " const app = express()\n-app.use(requireAuth)\n app.use('/api', api)"),
    "express bare auth": ("a.js", "-app.use('/admin', auth, admin)\n+app.use('/admin', admin)"),
    "express route": ("a.js", "-router.post('/users', requireAdmin, save)\n+router.post('/users', save)"),
    "express route on lines": ("a.js", " router.post(\n   '/users',\n-  requireAdmin,\n   save,\n )"),
    "passport route": ("a.js", "-router.get('/me', passport.authenticate('jwt'), me)\n+router.get('/me', me)"),
    "js condition": ("a.js", " async function drop(req, res) {\n-  if (!req.user.isAdmin) {\n-    return res.status(403).end()\n-  }\n   await remove(req.params.id)\n }"),
    "js one-line condition": ("a.js", " async function drop(req, res) {\n-  if (!isAuthorized(req)) return res.sendStatus(403)\n   await remove(req.params.id)\n }"),
    "js owner": ("a.ts", " async drop(post: Post, user: User) {\n-    if (post.authorId !== user.id) throw new ForbiddenException()\n     await this.posts.remove(post)\n   }"),
    "nest guard": ("a.ts", "-  @UseGuards(JwtAuthGuard)\n   @Get('me')\n   me() {\n     return this.user\n   }"),
    "nest roles": ("a.ts", "-  @Roles(Role.Admin)\n   @Delete(':id')\n   drop(@Param('id') id: string) {\n     return this.users.remove(id)\n   }"),
    "fastify hook": ("a.js", "-fastify.addHook('onRequest', verifyJwt)\n fastify.get('/x', handler)"),
    "csurf": ("a.js", "-app.use(csurf({ cookie: true }))\n app.post('/pay', pay)"),
    "csrf function": ("a.js", "-app.use(csrfProtection)\n app.post('/pay', pay)"),
    "origin check": ("a.js", " function hook(req) {\n-  verifySignature(req.body, req.headers['x-signature'])\n   return run(req.body)\n }"),
    "vue route guard": ("a.ts", "-router.beforeEach(requireLogin)\n export default router"),
    "gin middleware": ("a.go", " r := gin.New()\n-r.Use(AuthRequired())\n r.POST(\"/users\", save)"),
    "go condition": ("a.go", " func drop(w http.ResponseWriter, r *http.Request) {\n-\tif !isAdmin(r) {\n-\t\thttp.Error(w, \"no\", http.StatusForbidden)\n-\t\treturn\n-\t}\n \tremove(r)\n }"),
    "go owner": ("a.go", " func drop(user User, post Post) error {\n-\tif user.ID != post.UserID {\n-\t\treturn ErrForbidden\n-\t}\n \treturn remove(post)\n }"),
    "go hmac": ("a.go", " func hook(b []byte, sig []byte) error {\n-\tif !hmac.Equal(sign(b), sig) {\n-\t\treturn errBad\n-\t}\n \treturn run(b)\n }"),
    "go wrapped handler": ("a.go", "-mux.Handle(\"/admin\", requireAdmin(adminHandler))\n+mux.Handle(\"/admin\", adminHandler)"),
    "axum layer": ("a.rs", " let app = Router::new()\n     .route(\"/x\", get(x))\n-    .route_layer(middleware::from_fn(require_auth))\n     .with_state(state);"),
    "tower layer": ("a.rs", "     .route(\"/x\", get(x))\n-    .layer(RequireAuthorizationLayer::bearer(&token))\n     .boxed()"),
    "rust condition": ("a.rs", " fn drop(user: &User, id: u64) -> Result<(), Error> {\n-    if !user.is_admin() {\n-        return Err(Error::Forbidden);\n-    }\n     remove(id)\n }"),
    "spring annotation": ("A.java", "-    @PreAuthorize(\"hasRole('ADMIN')\")\n     public void drop(long id) {\n         users.remove(id);\n     }"),
    "spring secured": ("A.java", "-    @Secured(\"ROLE_ADMIN\")\n     public void drop(long id) {\n         users.remove(id);\n     }"),
    "jakarta roles": ("A.java", "-    @RolesAllowed({\"admin\"})\n     public void drop(long id) {\n         users.remove(id);\n     }"),
    "java condition": ("A.java", "     public void drop(User user, long id) {\n-        if (!user.hasRole(\"admin\")) {\n-            throw new AccessDeniedException(\"no\");\n-        }\n         users.remove(id);\n     }"),
    "spring security chain": ("A.java", "         http\n-            .authorizeHttpRequests(a -> a.anyRequest().authenticated())\n             .httpBasic();"),
    "kotlin annotation": ("A.kt", "-    @PreAuthorize(\"hasRole('ADMIN')\")\n     fun drop(id: Long) {\n         users.remove(id)\n     }"),
    "kotlin condition": ("A.kt", "     fun drop(user: User, id: Long) {\n-        if (!user.isAdmin) throw ForbiddenException()\n         users.remove(id)\n     }"),
    "ktor": ("A.kt", "     fun Route.api() {\n-        requireRole(Role.ADMIN)\n         get(\"/x\") { call.respond(x()) }\n     }"),
    "asp.net attribute": ("A.cs", "-    [Authorize(Roles = \"Admin\")]\n     public IActionResult Drop(int id)\n     {\n         return Ok();\n     }"),
    "asp.net antiforgery": ("A.cs", "     [HttpPost]\n-    [ValidateAntiForgeryToken]\n     public IActionResult Pay(int id)\n     {\n         return Ok();\n     }"),
    "asp.net pipeline": ("A.cs", " app.UseRouting();\n-app.UseAuthorization();\n app.MapControllers();"),
    "rails filter": ("a.rb", " class UsersController < ApplicationController\n-  before_action :authenticate_user!\n   def index\n   end"),
    "rails authorize": ("a.rb", "   def destroy\n-    authorize! :destroy, @post\n     @post.destroy\n   end"),
    "rails can": ("a.rb", "   def destroy\n-    raise Denied unless can? :destroy, @post\n     @post.destroy\n   end"),
    "pundit": ("a.rb", "   def destroy\n-    authorize @post\n     @post.destroy\n   end"),
    "rails forgery": ("a.rb", " class ApplicationController < ActionController::Base\n-  protect_from_forgery with: :exception\n   def x\n   end"),
    "laravel middleware": ("a.php", "     public function __construct()\n     {\n-        $this->middleware('auth');\n         $this->x = 1;\n     }"),
    "laravel route": ("a.php", "-Route::post('/users', [Users::class, 'store'])->middleware('auth:admin');\n+Route::post('/users', [Users::class, 'store']);"),
    "laravel gate": ("a.php", "     public function destroy(Post $post)\n     {\n-        Gate::authorize('delete', $post);\n         $post->delete();\n     }"),
    "php condition": ("a.php", " function drop($id) {\n-    if (!$user->isAdmin()) {\n-        die('no');\n-    }\n     remove($id);\n }"),
    "c condition": ("a.c", " int drop(struct user *u, int id) {\n-    if (!is_admin(u))\n-        return -EPERM;\n     remove_item(id);\n     return 0;\n }"),
    "commented out": ("a.py", "-@login_required\n+# @login_required\n def delete_user(request):\n     pass"),
    "made optional": ("a.py", " def drop(request):\n-    if not request.user.is_admin:\n+    if settings.STRICT and not request.user.is_admin:\n         raise PermissionDenied\n     remove()"),
    "or for and": ("a.py", " def drop(user):\n-    if user.is_admin and user.is_active:\n+    if user.is_admin or user.is_active:\n         remove()\n "),
    "a not that fell out": ("a.js", " function drop(user) {\n-  if (!user.isAdmin) return\n+  if (user.isAdmin) return\n   remove()\n }"),
    "a lower role": ("a.py", " def drop(user):\n-    if not user.is_superuser:\n+    if not user.is_staff:\n         raise PermissionDenied\n     remove()"),
    "a longer list of roles": ("a.ts", "-  @Roles('admin')\n+  @Roles('admin', 'guest')\n   @Delete(':id')\n   drop() {}"),
    "a role compared": ("a.js", " function drop(user) {\n-  if (user.role !== 'admin') return deny()\n+  if (user.role === 'guest') return deny()\n   remove()\n }"),
    "one of two decorators": ("a.py", " @login_required\n-@permission_required('x.drop')\n def drop(request):\n     pass"),
    "classes for anyone": ("a.py", " class Users(ModelViewSet):\n-    permission_classes = [IsAdminUser]\n+    permission_classes = [AllowAny]\n     queryset = User.objects.all()"),
    "classes emptied": ("a.py", " class Users(ModelViewSet):\n-    authentication_classes = [TokenAuthentication]\n+    authentication_classes = []\n     queryset = User.objects.all()"),
    "csrf exempt added": ("a.py", "+@csrf_exempt\n def pay(request):\n     charge()"),
    "permit all": ("A.java", "         http.authorizeRequests()\n-            .anyRequest().authenticated();\n+            .anyRequest().permitAll();"),
    "csrf disabled": ("A.java", "         http\n+            .csrf().disable()\n             .httpBasic();"),
    "anonymous allowed": ("A.cs", "+    [AllowAnonymous]\n     public IActionResult Drop(int id)\n     {"),
    "rails skip": ("a.rb", " class HooksController < ApplicationController\n+  skip_before_action :verify_authenticity_token\n   def create\n   end"),
    "verify false": ("a.py", " def load(url):\n-    return session.get(url, verify=True)\n+    return session.get(url, verify=False)\n "),
    "skip verify": ("a.go", " tr := &http.Transport{\n+\tTLSClientConfig: &tls.Config{InsecureSkipVerify: true},\n }"),
    "reject unauthorized": ("a.js", " const agent = new https.Agent({\n+  rejectUnauthorized: false,\n })"),
    "node environment": ("a.js", "+process.env.NODE_TLS_REJECT_UNAUTHORIZED = '0'\n run()"),
    "rust invalid certificates": ("a.rs", "     let client = Client::builder()\n+        .danger_accept_invalid_certs(true)\n         .build()?;"),
    "certificates ignored": ("a.py", "-context = ssl.create_default_context()\n+context = ssl._create_unverified_context()"),
    "curl insecure": ("get.sh", "-curl -sSf https://x.org/a | sh\n+curl -sSfk https://x.org/a | sh"),
    "cors for all": ("a.py", " app.add_middleware(\n     CORSMiddleware,\n-    allow_origins=ORIGINS,\n+    allow_origins=[\"*\"],\n )"),
    "cors header": ("a.go", " func serve(w http.ResponseWriter) {\n+\tw.Header().Set(\"Access-Control-Allow-Origin\", \"*\")\n \tw.Write(x)\n }"),
    "chmod": ("install.sh", "-chmod 750 /srv/app\n+chmod -R 777 /srv/app"),
    "jwt unverified": ("a.py", " def who(token):\n-    return jwt.decode(token, KEY, algorithms=['HS256'])\n+    return jwt.decode(token, options={'verify_signature': False})"),
    "https to http": ("a.py", "-URL = 'https://api.example.org/v1'\n+URL = 'http://api.example.org/v1'"),
    "a guard that always agrees": ("a.py", " class IsOwner(BasePermission):\n     def has_permission(self, request, view):\n-        return request.user.is_staff\n+        return True"),
    "a guard's own body": ("a.ts", " export class RolesGuard {\n   canActivate(context: Context): boolean {\n-    return this.roles.includes(context.user.role)\n+    return true\n   }"),
    "calls of a guard that went too": ("a.py", "-def check_permission(user):\n-    if not user.is_admin:\n-        raise Denied()\n-\n def drop(user):\n-    check_permission(user)\n     remove()\n     return 1"),
}  # fmt: skip


@pytest.mark.parametrize("name", TOLD)
def test_a_guard_that_went_away_or_changed_is_told(name: str) -> None:
    told = found(diff(*TOLD[name]))
    assert [one.kind for one in told][:1] == ["authorization"], told


SILENT: dict[str, tuple[str, str]] = {
    "a function with its decorator": ("a.py", "-@login_required\n-def gone(request):\n-    pass\n-\n def kept(request):\n     pass"),
    "git kept the other of two equal decorators": ("a.py", " @login_required\n-def gone(request):\n-    pass\n-\n-@login_required\n def kept(request):\n     pass"),
    "a function that moved": ("a.py", "-@login_required\n-def x(request):\n-    pass\n \n a = 1\n \n+@login_required\n+def x(request):\n+    pass"),
    "a function renamed": ("a.py", "-@login_required\n-def x(request):\n+@login_required\n+def y(request):\n     pass"),
    "a condition reformatted": ("a.py", " def drop(user):\n-    if not (user.is_admin):\n+    if not user.is_admin:\n         raise PermissionDenied\n     remove()"),
    "a message reworded": ("a.py", " def drop(user):\n     if not user.is_admin:\n-        raise PermissionDenied('no')\n+        raise PermissionDenied('You may not.')\n     remove()"),
    "self before a name": ("a.py", " def drop(self, user):\n-    check_permission(user)\n+    self.check_permission(user)\n     remove()"),
    "a comment about one": ("a.py", " def drop(user):\n-    # callers check user.is_admin\n     remove()\n "),
    "a docstring about one": ("a.py", " def drop(user):\n-    \"\"\"Only if user.is_admin; see @login_required.\"\"\"\n+    \"\"\"Drop.\"\"\"\n     remove()"),
    "a string about one": ("a.py", " def help():\n-    print('if not user.is_admin: raise PermissionDenied')\n+    print('see the manual')\n "),
    "a condition moved into a decorator": ("a.py", "+@admin_required\n def drop(request):\n-    if not request.user.is_admin:\n-        raise PermissionDenied\n     remove()\n     return 1"),
    "a condition moved into a function": ("a.py", "+def check_admin(user):\n+    if not user.is_admin:\n+        raise PermissionDenied\n+\n def drop(user):\n-    if not user.is_admin:\n-        raise PermissionDenied\n+    check_admin(user)\n     remove()"),
    "a branch with its code": ("a.py", " def page(user):\n-    if user.is_admin:\n-        show_panel()\n     return 1"),
    "an import": ("a.py", "-from app.auth import login_required, check_permission\n+from app.auth import login_required\n "),
    "an import on lines": ("a.py", " from app.auth import (\n-    login_required,\n     user,\n )"),
    "a js import on lines": ("a.ts", " import {\n-  requireAuth,\n   user,\n } from './auth'"),
    "a field": ("a.py", " class User(Model):\n-    is_admin = BooleanField(default=False)\n+    role = CharField()\n "),
    "a keyword": ("a.py", " def make():\n-    return User(is_admin=True)\n+    return User()\n "),
    "a definition alone": ("a.py", "-def is_authenticated(self):\n-    return bool(self.token)\n-\n x = 1"),
    "an annotation in a type": ("a.ts", " interface User {\n-  isAdmin: boolean\n+  role: string\n }"),
    "an object key": ("a.js", " const user = {\n-  isAdmin: true,\n   name: 'x',\n }"),
    "an http client's argument": ("a.py", " def load(url, auth):\n-    return get(url, auth=auth)\n+    return get(url, auth=auth, timeout=3)\n "),
    "a middleware renamed on the same routes": ("a.js", "-router.post('/x', requireAuth, save)\n+router.post('/x', requireAuth, saveItem)"),
    "route middleware moved to the router": ("a.js", "+router.use(requireAuth)\n-router.post('/x', requireAuth, save)\n+router.post('/x', save)"),
    "a tls setting that stays": ("a.py", "-r = get(url, verify=False)\n+r = get(url, verify=False, timeout=3)"),
    "verify true": ("a.py", "-r = get(url, verify=False)\n+r = get(url, verify=True)"),
    "a test": ("tests/test_a.py", "-@login_required\n def view(request):\n     pass"),
    "a java test": ("src/test/java/ATest.java", "     public void x() {\n-        if (!user.hasRole(\"a\")) throw new AccessDeniedException();\n         run();\n     }"),
    "a generated file": ("api_pb2.py", "-@login_required\n def view(request):\n     pass"),
    "a vendored file": ("vendor/x/a.go", "-r.Use(AuthRequired())\n r.GET(x)"),
    "documentation": ("docs/a.md", "-@login_required\n def view(request):\n     pass"),
    "the word authority": ("a.py", " def f(url):\n-    return url.authority\n+    return url.netloc\n "),
    "an author": ("a.py", " def f(book):\n-    if book.author == 'x':\n-        mark(book)\n     return book"),
    "a can that is a stream's": ("a.py", " def f(t):\n-    if t.can_write_eof():\n-        t.write_eof()\n+    close(t)\n     return t"),
    "a token of a parser": ("a.py", " def f(token):\n-    if token.kind == 'name':\n-        return 1\n     return 2"),
    "permissions of a file": ("a.go", " func f() {\n-\tos.Chmod(p, 0600)\n+\tos.Chmod(p, 0640)\n }"),
    "cors for one": ("a.py", "-    allow_origins=['https://a.org'],\n+    allow_origins=['https://b.org'],"),
}  # fmt: skip


@pytest.mark.parametrize("name", SILENT)
def test_no_loss_of_a_guard_is_told_where_there_is_none(name: str) -> None:
    assert [one for one in found(diff(*SILENT[name])) if one.kind == "authorization"] == []


def test_a_guard_that_moved_to_another_file_is_silent() -> None:
    text = diff("a.js", " function drop(req) {\n-  if (!req.user.isAdmin) throw new Forbidden()\n   remove()\n }")
    text += diff("b.js", "+export function onlyAdmin(req) {\n+  if (!req.user.isAdmin) throw new Forbidden()\n+}\n x()")
    assert found(text) == []


def test_a_removed_file_takes_its_guards_along() -> None:
    text = "diff --git a/a.py b/a.py\ndeleted file mode 100644\n--- a/a.py\n+++ /dev/null\n@@ -1,3 +0,0 @@\n-@login_required\n-def f(r):\n-    pass\n"
    assert suspects(parse_diff(text)) == ()


def test_the_sentence_names_the_code_and_what_it_guarded() -> None:
    (told,) = found(diff("a.py", "-@login_required\n def delete_user(request, pk):\n     drop(pk)"))
    assert told.text == "The check `@login_required` on `delete_user` was removed."
    assert (told.path, told.line, told.old_line) == ("a.py", 10, 10)


def test_a_changed_condition_shows_both() -> None:
    (told,) = found(diff("a.py", " def f(user):\n-    if not user.is_admin:\n+    if not user.is_staff:\n         raise Denied\n"))
    assert told.text == "The permission check changed: `if not user.is_admin:` -> `if not user.is_staff:`."
    assert (told.line, told.old_line) == (11, 11)


def test_what_went_away_weighs_more_than_what_changed() -> None:
    text = diff("a.py", "-@login_required\n def a(r):\n     pass") + diff("b.py", "-@login_required\n+@permission_required('x')\n def b(r):\n     pass")
    assert [(one.path, one.weight) for one in found(text)] == [("a.py", 100), ("b.py", 95)]


def test_a_hunk_without_a_path_has_no_line() -> None:
    told = suspects(parse_diff("@@ -1,3 +1,2 @@\n-@login_required\n def delete_user(request):\n     return drop(request)\n"))
    assert [(one.path, one.line, one.kind) for one in told] == [("", None, "authorization")]
