// A session with the server for OkHttp 4 and 5: sends requests, refreshes, signs out. Copy this file.
// `Session.client` is an OkHttpClient; the store is an encrypted file under a Keystore key.

import java.io.IOException
import java.util.Date
import java.util.UUID
import java.util.concurrent.ExecutionException
import java.util.concurrent.FutureTask
import java.util.concurrent.TimeUnit
import kotlin.concurrent.thread
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
    val deviceId: String
) {
    // OkHttp prints the tags of a request, and this is one: no token may be in it.
    override fun toString(): String = "Pair(deviceId=$deviceId, generation=$generation)"
}

// What the store holds, as one value.
data class Stored(
    // null: nobody is signed in.
    val pair: Pair? = null,
    // Once a refresh with this pair has begun: the key of that refresh.
    val idempotencyKey: String? = null,
    // Proves at the next sign-in that this device is known; a sign-out keeps it.
    val deviceCredential: String = "",
    // The refresh tokens of sign-outs that the server may not know of yet.
    val signOuts: List<String> = emptyList()
) {
    override fun toString(): String = "Stored(pair=$pair)"

    // A new pair comes without a key: the next refresh gets a key of its own.
    fun with(pair: Pair?): Stored = copy(pair = pair, idempotencyKey = null)

    // The same write queues the sign-out, in case the app ends before the server knows.
    fun signedOut(): Stored = with(null).copy(signOuts = signOuts + listOfNotNull(pair?.refreshToken))
}

interface Store {
    // Throws if the store cannot be read now: an empty Stored means that nothing was ever stored.
    fun read(): Stored
    // Replaces what is stored with what `change` returns, in one write, and returns it. Nothing else
    // in the app, in any thread or process, may write between its read and its write.
    fun update(change: (Stored) -> Stored): Stored
}

// The user has to sign in again.
class SignedOut : IOException("signed out")
// There was no usable response. The tokens are kept: try again later.
class Unavailable : IOException("unavailable")
// The server refused: trying again does not help.
class Refused(code: String) : IOException(code)

private class Answer(
    val status: Int,
    val retryAfter: Long,
    val body: JSONObject,
    val isJSON: Boolean
)

private const val ATTEMPTS = 6
private const val LONGEST_WAIT = 60_000L

// Call none of this on the main thread.
class Session(
    private val base: HttpUrl,
    private val store: Store,
    private val onSignedOut: () -> Unit,
    timeoutMillis: Long = 20_000
) : Interceptor, Authenticator {
    // A refresh must not go through the interceptor that waits for it.
    private val plain = OkHttpClient.Builder()
        .callTimeout(timeoutMillis, TimeUnit.MILLISECONDS)
        // Ten seconds otherwise.
        .readTimeout(timeoutMillis, TimeUnit.MILLISECONDS)
        // A redirect could lead the tokens to another server.
        .followRedirects(false)
        .build()
    private var refreshing: FutureTask<Pair>? = null

    val client: OkHttpClient =
        OkHttpClient.Builder().addInterceptor(this).authenticator(this).build()

    fun signIn(username: String, password: String, device: JSONObject) {
        val body = JSONObject().put("username", username).put("password", password)
        device.put("credential", store.read().deviceCredential)
        val answer = post("users/login", body.put("device", device))
        if (answer.status != 200) throw Refused(codeOf(answer))
        val pair = pairIn(answer) ?: throw Unavailable()
        val credential = answer.body.optString("device_credential")
        store.update { now -> now.signedOut().copy(pair = pair, deviceCredential = credential) }
    }

    // Deletes the pair first, so that signing out works without a network.
    fun signOut() {
        store.update { now -> now.signedOut() }
        thread(isDaemon = true) {
            try { finishSignOuts() } catch (_: Exception) { }
        }
    }

    // Tells the server of sign-outs that it may not know of. Call it when the app starts, too.
    fun finishSignOuts() {
        for (token in store.read().signOuts) {
            tellOfSignOut(token)
            store.update { now -> now.copy(signOuts = now.signOuts - token) }
        }
    }

    override fun intercept(chain: Interceptor.Chain): Response {
        val request = chain.request()
        if (!isOurs(request.url)) return chain.proceed(request)
        return chain.proceed(signed(request, orIOException { store.read() }.pair ?: throw SignedOut()))
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
            val stored = begin(wanted)
            val held = ofSession(wanted, stored.pair)
            // Another request, or another process of this app, has refreshed meanwhile.
            if (held.accessToken != wanted.accessToken) return held
            val answer = try { ask(held, stored.idempotencyKey) } catch (_: IOException) { null }
            if (answer != null && isFinal(answer)) {
                wanted = finish(held, answer)
                if (wanted.expiresIn > 0) return wanted
            }
            pause(attempt, answer)
        }
        throw Unavailable()
    }

    private fun tellOfSignOut(token: String) {
        val body = JSONObject().put("token", token)
        for (attempt in 1..ATTEMPTS) {
            val answer = try { post("users/revoke", body) } catch (_: IOException) { null }
            // Another response, or a page, is not of this server.
            if (answer?.status == 400 || answer?.status == 200 && answer.isJSON) return
            pause(attempt, answer)
        }
    }

    // The random part doubles, so that devices that failed together do not return together.
    private fun pause(attempt: Int, answer: Answer?) {
        val asked = answer?.retryAfter ?: 0
        if (attempt == ATTEMPTS || asked > LONGEST_WAIT) throw Unavailable()
        Thread.sleep(asked + Random.nextLong(250L shl attempt))
    }

    // Reads the store, and stores a key if this pair has none: before the refresh is sent.
    private fun begin(refused: Pair): Stored =
        store.update { now ->
            if (now.pair?.accessToken != refused.accessToken || now.idempotencyKey != null) now
            else now.copy(idempotencyKey = UUID.randomUUID().toString())
        }

    private fun ask(held: Pair, key: String?): Answer {
        val body = JSONObject().put("grant_type", "refresh_token")
        return post("users/token", body.put("refresh_token", held.refreshToken), key)
    }

    // Stores the new pair before its first use: that use ends the life of the old refresh token.
    private fun finish(held: Pair, answer: Answer): Pair {
        val next = pairIn(answer)
        if (next != null) return ofSession(held, store.update { now -> newer(next, now) }.pair)
        if (codeOf(answer) != "invalid_grant") throw Refused(codeOf(answer))
        var ended = false
        val stored = store.update { now ->
            ended = now.pair?.refreshToken == held.refreshToken
            if (ended) now.with(null) else now
        }
        if (ended) onSignedOut()
        return ofSession(held, stored.pair)
    }

    // A request is never repeated with the tokens of another session.
    private fun ofSession(asked: Pair, pair: Pair?): Pair =
        pair?.takeIf { it.deviceId == asked.deviceId } ?: throw SignedOut()

    // Responses may overtake each other: the pair of the higher generation stays.
    private fun newer(next: Pair, stored: Stored): Stored {
        val held = stored.pair
        val replaces = held?.deviceId == next.deviceId && next.generation > held.generation
        return if (replaces) stored.with(next) else stored
    }

    private fun post(path: String, body: JSONObject, key: String? = null): Answer {
        val json = body.toString().toRequestBody("application/json".toMediaType())
        val request = Request.Builder().url(base.newBuilder().addPathSegments(path).build()).post(json)
        if (key != null) request.header("Idempotency-Key", key)
        plain.newCall(request.build()).execute().use { response ->
            val text = requireNotNull(response.body).string()
            val said = try { JSONObject(text) } catch (_: JSONException) { null }
            return Answer(response.code, retryAfterOf(response), said ?: JSONObject(), said != null)
        }
    }

    // Milliseconds. A date is compared with the server's own: the clock of the device may be wrong.
    private fun retryAfterOf(response: Response): Long {
        val seconds = response.header("Retry-After")?.toLongOrNull()
        if (seconds != null) return maxOf(0, TimeUnit.SECONDS.toMillis(seconds))
        val until = response.headers.getDate("Retry-After") ?: return 0
        val now = response.headers.getDate("Date") ?: Date()
        return maxOf(0, until.time - now.time)
    }

    // A truncated pair, or a network's own page in place of a response, says nothing about the tokens.
    private fun isFinal(answer: Answer): Boolean =
        if (answer.status == 200) pairIn(answer) != null
        else answer.status in 400..499 && answer.status != 429

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
