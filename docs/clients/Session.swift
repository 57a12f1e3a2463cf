// A session with the server for URLSession: sends requests, refreshes, signs out. Copy this file.
// The store is the Keychain, with kSecAttrAccessibleAfterFirstUnlockThisDeviceOnly.

import Foundation

public struct Pair: Codable, Sendable {
    public struct Device: Codable, Sendable { public let id: String }
    public let accessToken: String
    public let refreshToken: String
    public let device: Device
}

/// `read` throws where the store cannot be read now: nil means that nobody is signed in.
public protocol Store: Sendable {
    func read() throws -> Pair?
    func write(_ pair: Pair) throws
    func clear() throws
}

public enum SessionError: Error, Equatable {
    /// Nobody is signed in any more: show the sign-in.
    case signedOut
    /// No answer that says anything: the tokens are kept, try again later.
    case unavailable
    /// The server says no: never asked again by itself.
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
        try store.write(first)
    }

    /// Forgets the tokens first: a sign-out without a network is one all the same.
    public func signOut() async throws {
        let pair = try store.read()
        try store.clear()
        if let pair { _ = try? await post("users/revoke", ["token": pair.refreshToken]) }
    }

    /// Sends a request as the person who is signed in; repeats it once, after a refresh.
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

    // Single flight: whoever needs a new pair meanwhile waits for the same one.
    private func refresh(_ refused: Pair) async throws -> Pair {
        if let refreshing { return try await refreshing.value }
        // Not a child of the request that began it: cancelling that one must not cancel the others.
        let task = Task { try await renew(refused) }
        refreshing = task
        defer { refreshing = nil }
        return try await task.value
    }

    private func renew(_ refused: Pair) async throws -> Pair {
        let held = try pair(of: refused.device.id)
        // A refresh that ended a moment ago has served this request too.
        if held.accessToken != refused.accessToken { return held }
        let answer = try await askForPair(held.refreshToken)
        let current = try pair(of: refused.device.id)
        // Another process of this app was quicker: the server gave both the same pair.
        if current.refreshToken != held.refreshToken { return current }
        if let next = pair(in: answer) {
            // Store, then use: once the new pair is used, the old token cannot be shown again.
            try store.write(next)
            return next
        }
        guard code(of: answer) == "invalid_grant" else {
            throw SessionError.refused(code(of: answer))
        }
        try store.clear()
        onSignedOut()
        throw SessionError.signedOut
    }

    // The stored pair, if it is still of the session that asks: a request is repeated for no one else.
    private func pair(of session: String) throws -> Pair {
        guard let pair = try store.read(), pair.device.id == session else {
            throw SessionError.signedOut
        }
        return pair
    }

    // Shows the same token until an answer says something about it.
    private func askForPair(_ refreshToken: String) async throws -> Answer {
        let body = ["grant_type": "refresh_token", "refresh_token": refreshToken]
        for attempt in 1...Self.attempts {
            let answer = try? await post("users/token", body)
            if let answer, says(answer) { return answer }
            // A random part of a span that doubles: phones that failed together do not return together.
            let wait = (answer?.retryAfter ?? 0) + Double.random(in: 0..<(0.25 * pow(2, Double(attempt))))
            if attempt == Self.attempts || wait > Self.longestWait { break }
            try await Task.sleep(nanoseconds: UInt64(wait * 1_000_000_000))
        }
        throw SessionError.unavailable
    }

    private func post(_ path: String, _ body: [String: Any]) async throws -> Answer {
        var request = URLRequest(url: base.appendingPathComponent(path), timeoutInterval: 20)
        request.httpMethod = "POST"
        request.setValue("application/json", forHTTPHeaderField: "Content-Type")
        request.httpBody = try JSONSerialization.data(withJSONObject: body)
        let (data, response) = try await network.data(for: request)
        let http = response as! HTTPURLResponse
        let retryAfter = Double(http.value(forHTTPHeaderField: "Retry-After") ?? "") ?? 0
        return Answer(status: http.statusCode, retryAfter: retryAfter, body: data)
    }

    // A pair that breaks off, or a page of the network's own in its place, is no answer.
    private func says(_ answer: Answer) -> Bool {
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
