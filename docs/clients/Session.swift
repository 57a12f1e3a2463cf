// A session with the server for URLSession: sends requests, refreshes, signs out. Copy this file.
// The store is the Keychain, with kSecAttrAccessibleAfterFirstUnlockThisDeviceOnly.

import Foundation

public struct Pair: Codable, Sendable {
    public struct Device: Codable, Sendable { public let id: String }
    public let accessToken: String
    public let expiresIn: Int
    public let refreshToken: String
    /// Grows with every refresh of the same device session.
    public let generation: Int
    public let device: Device
}

/// What the store holds, as one value.
public struct Stored: Codable, Sendable {
    /// nil: nobody is signed in.
    public var pair: Pair?
    /// Once a refresh with this pair has begun: the key of that refresh.
    public var idempotencyKey: String?
    /// Proves at the next sign-in that this device is known; a sign-out keeps it.
    public var deviceCredential = ""
    /// The refresh tokens of sign-outs that the server may not know of yet.
    public var signOuts: [String] = []

    public init() {}

    // A new pair comes without a key: the next refresh gets a key of its own.
    func with(_ pair: Pair?) -> Stored {
        var next = self
        (next.pair, next.idempotencyKey) = (pair, nil)
        return next
    }

    // The same write queues the sign-out, in case the app ends before the server knows.
    func signedOut() -> Stored {
        var next = with(nil)
        if let pair { next.signOuts.append(pair.refreshToken) }
        return next
    }
}

public protocol Store: Sendable {
    /// Throws if the store cannot be read now: an empty Stored means that nothing was ever stored.
    func read() throws -> Stored
    /// Replaces what is stored with what `change` returns, in one write, and returns it. Nothing
    /// else in the app or its extensions may write between its read and its write.
    @discardableResult
    func update(_ change: (Stored) -> Stored) throws -> Stored
}

public enum SessionError: Error, Equatable {
    /// The user has to sign in again.
    case signedOut
    /// There was no usable response. The tokens are kept: try again later.
    case unavailable
    /// The server refused: trying again does not help.
    case refused(String)
}

// A redirect could lead the tokens to another server.
private final class NoRedirects: NSObject, URLSessionTaskDelegate {
    func urlSession(
        _ session: URLSession, task: URLSessionTask,
        willPerformHTTPRedirection response: HTTPURLResponse, newRequest request: URLRequest
    ) async -> URLRequest? { nil }
}

public actor Session {
    private struct Answer { let status: Int; let retryAfter: Double; let body: Data }
    private struct SignIn: Decodable { let deviceCredential: String }
    private struct Refusal: Decodable { let error: String }
    private static let attempts = 6
    private static let longestWait = 60.0

    private let base: URL
    private let store: Store
    private let onSignedOut: @Sendable () -> Void
    private let network: URLSession
    private var refreshing: Task<Pair, Error>?

    public init(
        base: URL, store: Store, network: URLSession = .shared,
        onSignedOut: @escaping @Sendable () -> Void
    ) {
        self.base = base
        self.store = store
        self.network = network
        self.onSignedOut = onSignedOut
    }

    public func signIn(username: String, password: String, device: [String: String]) async throws {
        var shown = device
        shown["credential"] = try store.read().deviceCredential
        let body: [String: Any] = ["username": username, "password": password, "device": shown]
        let answer = try await post("users/login", body)
        guard answer.status == 200 else { throw SessionError.refused(code(of: answer)) }
        guard let first = pair(in: answer) else { throw SessionError.unavailable }
        let signIn: SignIn? = decoded(answer)
        try store.update { now in
            var next = now.signedOut()
            (next.pair, next.deviceCredential) = (first, signIn?.deviceCredential ?? "")
            return next
        }
    }

    /// Deletes the pair first, so that signing out works without a network.
    public func signOut() async throws {
        try store.update { now in now.signedOut() }
        Task { try? await finishSignOuts() }
    }

    /// Tells the server of sign-outs that it may not know of. Call it when the app starts, too.
    public func finishSignOuts() async throws {
        for token in try store.read().signOuts {
            for attempt in 1... {
                let answer = try? await post("users/revoke", ["token": token])
                if let answer, knowsOfSignOut(answer) { break }
                try await pause(attempt, answer)
            }
            try store.update { now in
                var next = now
                next.signOuts.removeAll { $0 == token }
                return next
            }
        }
    }

    /// Sends a request with the access token; if that is refused, refreshes and sends it once more.
    public func data(for request: URLRequest) async throws -> (Data, HTTPURLResponse) {
        guard isOurs(request.url) else { return try await send(request, nil) }
        guard let pair = try store.read().pair else { throw SessionError.signedOut }
        let answer = try await send(request, pair)
        // A stream can be read only once.
        guard answer.1.statusCode == 401, request.httpBodyStream == nil else { return answer }
        return try await send(request, refresh(pair))
    }

    // The tokens are for this server only.
    private func isOurs(_ url: URL?) -> Bool {
        url?.scheme == base.scheme && url?.host == base.host && url?.port == base.port
    }

    private func send(_ request: URLRequest, _ pair: Pair?) async throws -> (Data, HTTPURLResponse) {
        var request = request
        if let pair {
            request.setValue("Bearer \(pair.accessToken)", forHTTPHeaderField: "Authorization")
        }
        let (data, response) = try await network.data(for: request)
        return (data, response as! HTTPURLResponse)
    }

    // Single flight: requests that need a new pair while a refresh is running wait for its pair.
    private func refresh(_ refused: Pair) async throws -> Pair {
        if let refreshing { return try await ofSession(refused, refreshing.value) }
        // Not a child of the request that began it: cancelling that one must not cancel the others.
        let task = Task { try await renew(refused) }
        refreshing = task
        defer { refreshing = nil }
        return try await task.value
    }

    private func renew(_ refused: Pair) async throws -> Pair {
        var wanted = refused
        for attempt in 1... {
            let stored = try begin(wanted)
            let held = try ofSession(wanted, stored.pair)
            // Another request, or another process of this app, has refreshed meanwhile.
            if held.accessToken != wanted.accessToken { return held }
            let answer = try? await ask(held, stored.idempotencyKey)
            if let answer, isFinal(answer) {
                wanted = try finish(held, answer)
                if wanted.expiresIn > 0 { return wanted }
            }
            try await pause(attempt, answer)
        }
        throw SessionError.unavailable
    }

    // The random part doubles, so that devices that failed together do not return together.
    private func pause(_ attempt: Int, _ answer: Answer?) async throws {
        let wait = (answer?.retryAfter ?? 0) + Double.random(in: 0..<(0.25 * pow(2, Double(attempt))))
        if attempt == Self.attempts || wait > Self.longestWait { throw SessionError.unavailable }
        try await Task.sleep(nanoseconds: UInt64(wait * 1_000_000_000))
    }

    // Reads the store, and stores a key if this pair has none: before the refresh is sent.
    private func begin(_ refused: Pair) throws -> Stored {
        try store.update { now in
            guard now.pair?.accessToken == refused.accessToken else { return now }
            var next = now
            next.idempotencyKey = now.idempotencyKey ?? UUID().uuidString
            return next
        }
    }

    private func ask(_ held: Pair, _ key: String?) async throws -> Answer {
        let body = ["grant_type": "refresh_token", "refresh_token": held.refreshToken]
        return try await post("users/token", body, key: key)
    }

    // Stores the new pair before its first use: that use ends the life of the old refresh token.
    private func finish(_ held: Pair, _ answer: Answer) throws -> Pair {
        if let next = pair(in: answer) {
            return try ofSession(held, store.update { now in Self.newer(next, now) }.pair)
        }
        guard code(of: answer) == "invalid_grant" else {
            throw SessionError.refused(code(of: answer))
        }
        var ended = false
        let stored = try store.update { now in
            ended = now.pair?.refreshToken == held.refreshToken
            return ended ? now.with(nil) : now
        }
        if ended { onSignedOut() }
        return try ofSession(held, stored.pair)
    }

    // A request is never repeated with the tokens of another session.
    private func ofSession(_ asked: Pair, _ pair: Pair?) throws -> Pair {
        guard let pair, pair.device.id == asked.device.id else { throw SessionError.signedOut }
        return pair
    }

    // Responses may overtake each other: the pair of the higher generation stays.
    private static func newer(_ next: Pair, _ stored: Stored) -> Stored {
        guard let held = stored.pair, held.device.id == next.device.id else { return stored }
        return next.generation > held.generation ? stored.with(next) : stored
    }

    private func post(
        _ path: String, _ body: [String: Any], key: String? = nil
    ) async throws -> Answer {
        var request = URLRequest(url: base.appendingPathComponent(path), timeoutInterval: 20)
        request.httpMethod = "POST"
        request.setValue("application/json", forHTTPHeaderField: "Content-Type")
        request.setValue(key, forHTTPHeaderField: "Idempotency-Key")
        request.httpBody = try JSONSerialization.data(withJSONObject: body)
        let (data, response) = try await network.data(for: request, delegate: NoRedirects())
        let http = response as! HTTPURLResponse
        return Answer(status: http.statusCode, retryAfter: Self.retryAfter(http), body: data)
    }

    // Seconds. A date is compared with the server's own: the clock of the device may be wrong.
    private static func retryAfter(_ http: HTTPURLResponse) -> Double {
        let text = http.value(forHTTPHeaderField: "Retry-After") ?? ""
        if let seconds = Int(text) { return Double(max(0, seconds)) }
        let format = DateFormatter()
        format.locale = Locale(identifier: "en_US_POSIX")
        format.timeZone = TimeZone(identifier: "GMT")
        format.dateFormat = "EEE, dd MMM yyyy HH:mm:ss zzz"
        guard let until = format.date(from: text) else { return 0 }
        let now = format.date(from: http.value(forHTTPHeaderField: "Date") ?? "") ?? Date()
        return max(0, until.timeIntervalSince(now))
    }

    // A truncated pair, or a network's own page in place of a response, says nothing about the tokens.
    private func isFinal(_ answer: Answer) -> Bool {
        if answer.status == 200 { return pair(in: answer) != nil }
        return (400..<500).contains(answer.status) && answer.status != 429
    }

    // Another response, or a page, is not of this server.
    private func knowsOfSignOut(_ answer: Answer) -> Bool {
        if answer.status == 400 { return true }
        let body = try? JSONSerialization.jsonObject(with: answer.body)
        return answer.status == 200 && body is [String: Any]
    }

    private func pair(in answer: Answer) -> Pair? { decoded(answer) }

    private func decoded<T: Decodable>(_ answer: Answer) -> T? {
        let decoder = JSONDecoder()
        decoder.keyDecodingStrategy = .convertFromSnakeCase
        return try? decoder.decode(T.self, from: answer.body)
    }

    private func code(of answer: Answer) -> String {
        let refusal = try? JSONDecoder().decode(Refusal.self, from: answer.body)
        return refusal?.error ?? "status \(answer.status)"
    }
}
