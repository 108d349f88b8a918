// Answers in JSON, and errors as answers.

import HTTPServer
import UserDriverClient
import Wire

typealias Request = HTTPRequest
typealias Answer = HTTPAnswer

extension HTTPAnswer {
    static func json(_ value: some Encodable) -> Answer {
        do { return Answer(200, type: "application/json", try JSON.encode(value)) } catch { return text(500, "\(error)") }
    }

    /// The path is there, for these methods.
    static func wrongMethod(_ methods: [String]) -> Answer {
        var answer = text(405, "This path accepts \(methods.joined(separator: " and ")).")
        answer.headers.append(("Allow", methods.joined(separator: ", ")))
        return answer
    }

    /// An error in its own words, with the status that fits it.
    static func failure(_ error: any Error) -> Answer {
        if let error = error as? WebError { return text(error.status, error.description) }
        guard let error = error as? ClientError else { return text(500, "\(error)") }
        switch error.code {
        case .noSuchDevice: return text(404, "\(error)")
        case .noSuchObject: return text(410, "\(error)")
        case .busy, .notSupported: return text(409, "\(error)")
        case .notPermitted: return text(403, "\(error)")
        case .invalidParameter: return text(400, "\(error)")
        default: return text(502, "\(error)")
        }
    }
}
