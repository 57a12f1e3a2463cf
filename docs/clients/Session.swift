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
    /// Once a refresh with this pair has begun: the key of that refresh.
    public var idempotencyKey: String?
}

public protocol Store: Sendable {
    /// Throws if the store cannot be read now: nil means that nobody is signed in.
    func read() throws -> Pair?
    /// Replaces what is stored with what `change` returns, in one write, and returns it. Nothing
    /// else in the app or its extensions may write between its read and its write.
    @discardableResult
    func update(_ change: (Pair?) -> Pair?) throws -> Pair?
}

public enum SessionError: Error, Equatable {
    /// The user has to sign in again.
    case signedOut
    /// There was no usable response. The tokens are kept: try again later.
    case unavailable
    /// The server refused: trying again does not help.
    case refused(String)
}

public actor Session {
    private struct Answer { let status: Int; let retryAfter: Double; let body: Data }
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
        let body: [String: Any] = ["username": username, "password": password, "device": device]
        let answer = try await post("users/login", body)
        guard answer.status == 200 else { throw SessionError.refused(code(of: answer)) }
        guard let first = pair(in: answer) else { throw SessionError.unavailable }
        try store.update { _ in first }
    }

    /// Deletes the tokens first, so that signing out works without a network.
    public func signOut() async throws {
        let pair = try store.read()
        try store.update { _ in nil }
        if let pair { _ = try? await post("users/revoke", ["token": pair.refreshToken]) }
    }

    /// Sends a request with the access token; if that is refused, refreshes and sends it once more.
    public func data(for request: URLRequest) async throws -> (Data, HTTPURLResponse) {
        guard isOurs(request.url) else { return try await send(request, nil) }
        guard let pair = try store.read() else { throw SessionError.signedOut }
        let answer = try await send(request, pair)
        guard answer.1.statusCode == 401 else { return answer }
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
        for attempt in 1...Self.attempts {
            let held = try begin(wanted)
            // Another request, or another process of this app, has refreshed meanwhile.
            if held.accessToken != wanted.accessToken { return held }
            let answer = try? await ask(held)
            if let answer, isFinal(answer) {
                wanted = try finish(held, answer)
                if wanted.expiresIn > 0 { return wanted }
            }
            // The random part doubles, so that devices that failed together do not return together.
            let wait = (answer?.retryAfter ?? 0) + Double.random(in: 0..<(0.25 * pow(2, Double(attempt))))
            if attempt == Self.attempts || wait > Self.longestWait { break }
            try await Task.sleep(nanoseconds: UInt64(wait * 1_000_000_000))
        }
        throw SessionError.unavailable
    }

    // Reads the store, and stores a key if this pair has none: before the refresh is sent.
    private func begin(_ refused: Pair) throws -> Pair {
        let stored = try store.update { now in
            guard var pair = now, pair.accessToken == refused.accessToken else { return now }
            pair.idempotencyKey = pair.idempotencyKey ?? UUID().uuidString
            return pair
        }
        return try ofSession(refused, stored)
    }

    private func ask(_ held: Pair) async throws -> Answer {
        let body = ["grant_type": "refresh_token", "refresh_token": held.refreshToken]
        return try await post("users/token", body, key: held.idempotencyKey)
    }

    // Stores the new pair before its first use: that use ends the life of the old refresh token.
    private func finish(_ held: Pair, _ answer: Answer) throws -> Pair {
        if let next = pair(in: answer) {
            return try ofSession(held, store.update { now in Self.newer(next, now) })
        }
        guard code(of: answer) == "invalid_grant" else {
            throw SessionError.refused(code(of: answer))
        }
        var ended = false
        let stored = try store.update { now in
            ended = now?.refreshToken == held.refreshToken
            return ended ? nil : now
        }
        if ended { onSignedOut() }
        return try ofSession(held, stored)
    }

    // A request is never repeated with the tokens of another session.
    private func ofSession(_ asked: Pair, _ pair: Pair?) throws -> Pair {
        guard let pair, pair.device.id == asked.device.id else { throw SessionError.signedOut }
        return pair
    }

    // Responses may overtake each other: the pair of the higher generation stays.
    private static func newer(_ next: Pair, _ stored: Pair?) -> Pair? {
        guard let stored, stored.device.id == next.device.id else { return stored }
        return next.generation > stored.generation ? next : stored
    }

    private func post(
        _ path: String, _ body: [String: Any], key: String? = nil
    ) async throws -> Answer {
        var request = URLRequest(url: base.appendingPathComponent(path), timeoutInterval: 20)
        request.httpMethod = "POST"
        request.setValue("application/json", forHTTPHeaderField: "Content-Type")
        request.setValue(key, forHTTPHeaderField: "Idempotency-Key")
        request.httpBody = try JSONSerialization.data(withJSONObject: body)
        let (data, response) = try await network.data(for: request)
        let http = response as! HTTPURLResponse
        let retryAfter = Double(http.value(forHTTPHeaderField: "Retry-After") ?? "") ?? 0
        return Answer(status: http.statusCode, retryAfter: retryAfter, body: data)
    }

    // A truncated pair, or a network's own page in place of a pair, says nothing about the tokens.
    private func isFinal(_ answer: Answer) -> Bool {
        if answer.status == 200 { return pair(in: answer) != nil }
        return answer.status != 429 && answer.status < 500
    }

    private func pair(in answer: Answer) -> Pair? {
        let decoder = JSONDecoder()
        decoder.keyDecodingStrategy = .convertFromSnakeCase
        return try? decoder.decode(Pair.self, from: answer.body)
    }

    private func code(of answer: Answer) -> String {
        let refusal = try? JSONDecoder().decode(Refusal.self, from: answer.body)
        return refusal?.error ?? "status \(answer.status)"
    }
}
