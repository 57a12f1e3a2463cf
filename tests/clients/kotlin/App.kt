// A process of an app with docs/clients/Session.kt: does what each line says, and answers with one.
// Usage: java AppKt BASE_URL STORE_FILE TIMEOUT_MS

import java.io.File
import java.io.RandomAccessFile
import java.util.concurrent.Callable
import java.util.concurrent.Executors
import okhttp3.HttpUrl.Companion.toHttpUrl
import okhttp3.MediaType.Companion.toMediaType
import okhttp3.Request
import okhttp3.RequestBody
import okhttp3.RequestBody.Companion.toRequestBody
import org.json.JSONArray
import org.json.JSONObject

// Shared with other processes, as docs/clients.md describes it for Android.
class SharedFile(private val file: File) : Store {
    override fun read(): Stored = if (file.exists()) storedIn(JSONObject(file.readText())) else Stored()

    @Synchronized
    override fun update(change: (Stored) -> Stored): Stored =
        RandomAccessFile("$file.lock", "rw").use { lock ->
            lock.channel.lock()
            val next = change(read())
            val written = File("$file.new")
            written.writeText(jsonOf(next).toString())
            check(written.renameTo(file))
            next
        }
}

// The names are those of the TypeScript client's store, which the tests read.
fun jsonOf(stored: Stored): JSONObject =
    JSONObject()
        .put("pair", stored.pair?.let { jsonOf(it) } ?: JSONObject.NULL)
        .put("idempotency_key", stored.idempotencyKey)
        .put("device_credential", stored.deviceCredential)
        .put("sign_outs", JSONArray(stored.signOuts))

fun jsonOf(pair: Pair): JSONObject =
    JSONObject()
        .put("access_token", pair.accessToken)
        .put("expires_in", pair.expiresIn)
        .put("refresh_token", pair.refreshToken)
        .put("generation", pair.generation)
        .put("device", JSONObject().put("id", pair.deviceId))

fun storedIn(json: JSONObject): Stored {
    val signOuts = json.getJSONArray("sign_outs")
    return Stored(
        json.optJSONObject("pair")?.let { pairIn(it) },
        json.opt("idempotency_key") as String?,
        json.getString("device_credential"),
        List(signOuts.length()) { signOuts.getString(it) }
    )
}

fun pairIn(json: JSONObject): Pair =
    Pair(
        json.getString("access_token"),
        json.getInt("expires_in"),
        json.getString("refresh_token"),
        json.getInt("generation"),
        json.getJSONObject("device").getString("id")
    )

class App(private val base: String, store: Store, timeoutMillis: Long) {
    private val session = Session(base.toHttpUrl(), store, {}, timeoutMillis)

    fun answer(deed: String, words: List<String>): Any =
        try { perform(deed, words) } catch (error: Exception) { error.javaClass.simpleName }

    private fun perform(deed: String, words: List<String>): Any {
        when (deed) {
            "sign-in" -> session.signIn(words[0], words[1], device())
            "call" -> return send("GET", "/users/me")
            "calls" -> return inParallel(words[0].toInt()) { answer("call", emptyList()) }
            "rename" -> return send("PATCH", "/users/devices/${words[0]}", json(words[1]))
            "sign-out" -> session.signOut()
            "finish-sign-outs" -> session.finishSignOuts()
        }
        return "done"
    }

    private fun send(method: String, path: String, body: RequestBody? = null): Int {
        val request = Request.Builder().url(base + path).method(method, body).build()
        return session.client.newCall(request).execute().use { it.code }
    }
}

fun device(): JSONObject = JSONObject().put("installation_id", "app").put("name", "App")

fun json(name: String): RequestBody =
    JSONObject().put("name", name).toString().toRequestBody("application/json".toMediaType())

fun inParallel(count: Int, work: () -> Any): JSONArray {
    val threads = Executors.newFixedThreadPool(count)
    val answers = threads.invokeAll(List(count) { Callable { work() } }).map { it.get() }
    threads.shutdown()
    return JSONArray(answers)
}

fun main(arguments: Array<String>) {
    val (base, file, timeout) = arguments
    val app = App(base, SharedFile(File(file)), timeout.toLong())
    for (line in generateSequence(::readlnOrNull)) {
        val deed = JSONArray(line)
        val words = List(deed.length() - 1) { deed.getString(it + 1) }
        val answer = app.answer(deed.getString(0), words)
        println(if (answer is String) JSONObject.quote(answer) else answer)
    }
}
