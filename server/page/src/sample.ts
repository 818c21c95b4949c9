// A diff to begin with: a new call, a TODO, and a guard that goes away.
export const SAMPLE = `diff --git a/shop/auth.py b/shop/auth.py
--- a/shop/auth.py
+++ b/shop/auth.py
@@ -1,10 +1,12 @@
 from shop import store
+from shop.sessions import createSession


 def login(request):
     user = store.find(request.name)
-    if not user.is_active:
-        raise PermissionError("this account is closed")
     if not user.verify(request.password):
         return None
-    return user.token
+    # TODO: end the older sessions of this user
+    session = createSession(user, minutes=30)
+    store.remember(session)
+    return session.token
`;
