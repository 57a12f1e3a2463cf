// A session with the server for OkHttp 4 and 5: sends requests, refreshes, signs out. Copy this file.
// `Session.client` is an OkHttpClient; the store is an encrypted file under a Keystore key.

import java.io.IOException
import java.util.concurrent.ExecutionException
import java.util.concurrent.FutureTask
import java.util.concurrent.TimeUnit
import kotlin.random.Random
import okhttp3.Authenticator
import okhttp3.HttpUrl
import okhttp3.Interceptor
import okhttp3.MediaType.Companion.toMediaType
import okhttp3.OkHttpClient
import okhttp3.Request
import okhttp3.RequestBody.Companion.toRequestBody
import okhttp3.Response
import okhttp3.Route
import org.json.JSONException
import org.json.JSONObject

class Pair(val accessToken: String, val refreshToken: String, val session: String)

// `read` throws where the store cannot be read now: null means that nobody is signed in.
interface Store {
    fun read(): Pair?
    fun write(pair: Pair)
    fun clear()
}

// Nobody is signed in any more: show the sign-in.
class SignedOut : IOException("signed out")
// No answer that says anything: the tokens are kept, try again later.
class Unavailable : IOException("unavailable")
// The server says no: never asked again by itself.
class Refused(code: String) : IOException(code)

private class Answer(val status: Int, val retryAfter: Long, val body: JSONObject)

private const val ATTEMPTS = 6
private const val LONGEST_WAIT = 60_000L

class Session(
    private val base: HttpUrl,
    private val store: Store,
    private val onSignedOut: () -> Unit
) : Interceptor, Authenticator {
    // A client of its own: a refresh must not wait for itself.
    private val plain = OkHttpClient.Builder().callTimeout(20, TimeUnit.SECONDS).build()
    private var refreshing: FutureTask<Pair>? = null

    val client: OkHttpClient =
        OkHttpClient.Builder().addInterceptor(this).authenticator(this).build()

    // Not on the main thread, as all of this.
    fun signIn(username: String, password: String, device: JSONObject) {
        val body = JSONObject().put("username", username).put("password", password)
        val answer = post("users/login", body.put("device", device))
        if (answer.status != 200) throw Refused(codeOf(answer))
        store.write(pairIn(answer) ?: throw Unavailable())
    }

    // Forgets the tokens first: a sign-out without a network is one all the same.
    fun signOut() {
        val pair = store.read()
        store.clear()
        try {
            if (pair != null) post("users/revoke", JSONObject().put("token", pair.refreshToken))
        } catch (_: IOException) {
        }
    }

    override fun intercept(chain: Interceptor.Chain): Response {
        val request = chain.request()
        if (!isOurs(request.url)) return chain.proceed(request)
        return chain.proceed(signed(request, orIOException { store.read() } ?: throw SignedOut()))
    }

    // OkHttp asks here after a 401, and repeats the request that it gets.
    override fun authenticate(route: Route?, response: Response): Request? {
        val refused = response.request.tag(Pair::class.java)
        // A redirect may have led to another server, and has kept the tag.
        if (refused == null || !isOurs(response.request.url)) return null
        if (generateSequence(response) { it.priorResponse }.count { it.code == 401 } > 1) return null
        return signed(response.request, orIOException { refresh(refused) })
    }

    // OkHttp reports an IOException; anything else, as the Keystore throws it, would end the app.
    private fun <T> orIOException(work: () -> T): T =
        try { work() } catch (error: Exception) { throw error as? IOException ?: IOException(error) }

    // The tokens are for this server only.
    private fun isOurs(url: HttpUrl): Boolean =
        url.scheme == base.scheme && url.host == base.host && url.port == base.port

    private fun signed(request: Request, pair: Pair): Request =
        request.newBuilder()
            .header("Authorization", "Bearer ${pair.accessToken}")
            .tag(Pair::class.java, pair)
            .build()

    // Single flight: whoever needs a new pair meanwhile waits for the same one.
    private fun refresh(refused: Pair): Pair {
        val mine = FutureTask { renew(refused) }
        val shared = synchronized(this) { refreshing ?: mine.also { refreshing = it } }
        if (shared === mine) {
            mine.run()
            synchronized(this) { refreshing = null }
        }
        try {
            return shared.get()
        } catch (error: ExecutionException) {
            throw error.cause ?: error
        }
    }

    private fun renew(refused: Pair): Pair {
        val held = pairOf(refused.session)
        // A refresh that ended a moment ago has served this request too.
        if (held.accessToken != refused.accessToken) return held
        val answer = askForPair(held.refreshToken)
        val current = pairOf(refused.session)
        // Another process of this app was quicker: the server gave both the same pair.
        if (current.refreshToken != held.refreshToken) return current
        val next = pairIn(answer)
        if (next != null) {
            // Store, then use: once the new pair is used, the old token cannot be shown again.
            store.write(next)
            return next
        }
        if (codeOf(answer) != "invalid_grant") throw Refused(codeOf(answer))
        store.clear()
        onSignedOut()
        throw SignedOut()
    }

    // The stored pair, if it is still of the session that asks: a request is repeated for no one else.
    private fun pairOf(session: String): Pair =
        store.read()?.takeIf { it.session == session } ?: throw SignedOut()

    // Shows the same token until an answer says something about it.
    private fun askForPair(refreshToken: String): Answer {
        val body = JSONObject().put("grant_type", "refresh_token").put("refresh_token", refreshToken)
        for (attempt in 1..ATTEMPTS) {
            val answer = try { post("users/token", body) } catch (_: IOException) { null }
            if (answer != null && says(answer)) return answer
            // A random part of a span that doubles: phones that failed together do not return together.
            val wait = (answer?.retryAfter ?: 0) + Random.nextLong(250L shl attempt)
            if (attempt == ATTEMPTS || wait > LONGEST_WAIT) break
            Thread.sleep(wait)
        }
        throw Unavailable()
    }

    private fun post(path: String, body: JSONObject): Answer {
        val json = body.toString().toRequestBody("application/json".toMediaType())
        val request = Request.Builder().url(base.newBuilder().addPathSegments(path).build()).post(json)
        plain.newCall(request.build()).execute().use { response ->
            val retryAfter = 1000 * (response.header("Retry-After")?.toLongOrNull() ?: 0)
            val text = response.body!!.string()
            val said = try { JSONObject(text) } catch (_: JSONException) { JSONObject() }
            return Answer(response.code, retryAfter, said)
        }
    }

    // A pair that breaks off, or a page of the network's own in its place, is no answer.
    private fun says(answer: Answer): Boolean =
        if (answer.status == 200) pairIn(answer) != null
        else answer.status != 429 && answer.status < 500

    // Not `getString`: it makes a string of anything.
    private fun pairIn(answer: Answer): Pair? {
        val access = answer.body.opt("access_token") as? String ?: return null
        val refresh = answer.body.opt("refresh_token") as? String ?: return null
        val session = answer.body.optJSONObject("device")?.opt("id") as? String ?: return null
        return Pair(access, refresh, session)
    }

    private fun codeOf(answer: Answer): String = answer.body.optString("error", "status ${answer.status}")
}
