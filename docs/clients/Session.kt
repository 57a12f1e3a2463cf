// A session with the server for OkHttp 4 and 5: sends requests, refreshes, signs out. Copy this file.
// `Session.client` is an OkHttpClient; the store is an encrypted file under a Keystore key.

import java.io.IOException
import java.util.UUID
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

data class Pair(
    val accessToken: String,
    val expiresIn: Int,
    val refreshToken: String,
    // Grows with every refresh of the same device session.
    val generation: Int,
    val deviceId: String,
    // Once a refresh with this pair has begun: the key of that refresh.
    val idempotencyKey: String? = null
) {
    // OkHttp prints the tags of a request, and this is one: no token may be in it.
    override fun toString(): String = "Pair(deviceId=$deviceId, generation=$generation)"
}

interface Store {
    // Throws if the store cannot be read now: null means that nobody is signed in.
    fun read(): Pair?
    // Replaces what is stored with what `change` returns, in one write, and returns it. Nothing else
    // in the app, in any thread or process, may write between its read and its write.
    fun update(change: (Pair?) -> Pair?): Pair?
}

// The user has to sign in again.
class SignedOut : IOException("signed out")
// There was no usable response. The tokens are kept: try again later.
class Unavailable : IOException("unavailable")
// The server refused: trying again does not help.
class Refused(code: String) : IOException(code)

private class Answer(val status: Int, val retryAfter: Long, val body: JSONObject)

private const val ATTEMPTS = 6
private const val LONGEST_WAIT = 60_000L

// Call none of this on the main thread.
class Session(
    private val base: HttpUrl,
    private val store: Store,
    private val onSignedOut: () -> Unit
) : Interceptor, Authenticator {
    // A refresh must not go through the interceptor that waits for it.
    private val plain = OkHttpClient.Builder().callTimeout(20, TimeUnit.SECONDS).build()
    private var refreshing: FutureTask<Pair>? = null

    val client: OkHttpClient =
        OkHttpClient.Builder().addInterceptor(this).authenticator(this).build()

    fun signIn(username: String, password: String, device: JSONObject) {
        val body = JSONObject().put("username", username).put("password", password)
        val answer = post("users/login", body.put("device", device))
        if (answer.status != 200) throw Refused(codeOf(answer))
        val pair = pairIn(answer) ?: throw Unavailable()
        store.update { pair }
    }

    // Deletes the tokens first, so that signing out works without a network.
    fun signOut() {
        val pair = store.read()
        store.update { null }
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

    // OkHttp calls this after a 401, and sends the request that it returns.
    override fun authenticate(route: Route?, response: Response): Request? {
        val refused = response.request.tag(Pair::class.java)
        // A redirect may have led to another server, and has kept the tag.
        if (refused == null || !isOurs(response.request.url)) return null
        if (generateSequence(response) { it.priorResponse }.count { it.code == 401 } > 1) return null
        return signed(response.request, orIOException { refresh(refused) })
    }

    // OkHttp reports an IOException; any other, such as the Keystore throws, would end the app.
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

    // Single flight: requests that need a new pair while a refresh is running wait for its pair.
    private fun refresh(refused: Pair): Pair {
        val mine = FutureTask { renew(refused) }
        val shared = synchronized(this) { refreshing ?: mine.also { refreshing = it } }
        if (shared === mine) {
            mine.run()
            synchronized(this) { refreshing = null }
        }
        try {
            return ofSession(refused, shared.get())
        } catch (error: ExecutionException) {
            throw error.cause ?: error
        }
    }

    private fun renew(refused: Pair): Pair {
        var wanted = refused
        for (attempt in 1..ATTEMPTS) {
            val held = begin(wanted)
            // Another request, or another process of this app, has refreshed meanwhile.
            if (held.accessToken != wanted.accessToken) return held
            val answer = try { ask(held) } catch (_: IOException) { null }
            if (answer != null && isFinal(answer)) {
                wanted = finish(held, answer)
                if (wanted.expiresIn > 0) return wanted
            }
            // The random part doubles, so that devices that failed together do not return together.
            val wait = (answer?.retryAfter ?: 0) + Random.nextLong(250L shl attempt)
            if (attempt == ATTEMPTS || wait > LONGEST_WAIT) break
            Thread.sleep(wait)
        }
        throw Unavailable()
    }

    // Reads the store, and stores a key if this pair has none: before the refresh is sent.
    private fun begin(refused: Pair): Pair {
        val stored = store.update { now ->
            if (now?.accessToken != refused.accessToken || now.idempotencyKey != null) now
            else now.copy(idempotencyKey = UUID.randomUUID().toString())
        }
        return ofSession(refused, stored)
    }

    private fun ask(held: Pair): Answer {
        val body = JSONObject().put("grant_type", "refresh_token")
        return post("users/token", body.put("refresh_token", held.refreshToken), held.idempotencyKey)
    }

    // Stores the new pair before its first use: that use ends the life of the old refresh token.
    private fun finish(held: Pair, answer: Answer): Pair {
        val next = pairIn(answer)
        if (next != null) return ofSession(held, store.update { now -> newer(next, now) })
        if (codeOf(answer) != "invalid_grant") throw Refused(codeOf(answer))
        var ended = false
        val stored = store.update { now ->
            ended = now?.refreshToken == held.refreshToken
            if (ended) null else now
        }
        if (ended) onSignedOut()
        return ofSession(held, stored)
    }

    // A request is never repeated with the tokens of another session.
    private fun ofSession(asked: Pair, pair: Pair?): Pair =
        pair?.takeIf { it.deviceId == asked.deviceId } ?: throw SignedOut()

    // Responses may overtake each other: the pair of the higher generation stays.
    private fun newer(next: Pair, stored: Pair?): Pair? =
        if (stored?.deviceId == next.deviceId && next.generation > stored.generation) next else stored

    private fun post(path: String, body: JSONObject, key: String? = null): Answer {
        val json = body.toString().toRequestBody("application/json".toMediaType())
        val request = Request.Builder().url(base.newBuilder().addPathSegments(path).build()).post(json)
        if (key != null) request.header("Idempotency-Key", key)
        plain.newCall(request.build()).execute().use { response ->
            val retryAfter = 1000 * (response.header("Retry-After")?.toLongOrNull() ?: 0)
            val text = response.body!!.string()
            val said = try { JSONObject(text) } catch (_: JSONException) { JSONObject() }
            return Answer(response.code, retryAfter, said)
        }
    }

    // A truncated pair, or a network's own page in place of a pair, says nothing about the tokens.
    private fun isFinal(answer: Answer): Boolean =
        if (answer.status == 200) pairIn(answer) != null
        else answer.status != 429 && answer.status < 500

    // Not `getString`, which makes a string of anything.
    private fun pairIn(answer: Answer): Pair? {
        val access = answer.body.opt("access_token") as? String ?: return null
        val expiresIn = answer.body.opt("expires_in") as? Int ?: return null
        val refresh = answer.body.opt("refresh_token") as? String ?: return null
        val generation = answer.body.opt("generation") as? Int ?: return null
        val deviceId = answer.body.optJSONObject("device")?.opt("id") as? String ?: return null
        return Pair(access, expiresIn, refresh, generation, deviceId)
    }

    private fun codeOf(answer: Answer): String = answer.body.optString("error", "status ${answer.status}")
}
