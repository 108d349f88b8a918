// How an error ends the process: what is said, and with which status.

import ArgumentParser
import Bundles
import Glibc
import UserDriverClient

/// Something that a verb could not do, with the status to end with.
struct CommandFailure: Error, CustomStringConvertible {
    let description: String
    var status: Int32 = ExitStatus.failed

    init(_ description: String, status: Int32 = ExitStatus.failed) {
        self.description = description
        self.status = status
    }
}

enum ExitStatus {
    static let done: Int32 = 0
    static let failed: Int32 = 1
    static let usage: Int32 = 2
    static let noSuchDevice: Int32 = 3
    static let notPermitted: Int32 = 4

    static func status(for error: any Error) -> Int32 {
        switch error {
        case let error as ClientError:
            switch error.code {
            case .noSuchDevice: noSuchDevice
            case .ambiguousDevice: usage
            case .notPermitted: notPermitted
            default: failed
            }
        case let error as CommandFailure: error.status
        case let error as BundleError: error.isNotPermitted ? notPermitted : failed
        case let error as ExitCode: error.rawValue
        case let error as OutputError: [EACCES, EPERM, EROFS].contains(error.number) ? notPermitted : failed
        default:
            // The parser's own: help and version are no failures, everything else is the caller's mistake.
            switch UserDriverCommand.exitCode(for: error) {
            case .success: done
            case .validationFailure: usage
            default: failed
            }
        }
    }

    /// Says what went wrong and returns the status to end with.
    static func report(_ error: any Error) -> Int32 {
        let status = status(for: error)
        switch error {
        case let error as OutputError where error.isBrokenPipe: break
        case is ExitCode: break
        case is ClientError, is CommandFailure, is OutputError, is BundleError: Terminal.note("userdriver: \(error)")
        default:
            let message = UserDriverCommand.fullMessage(for: error)
            if status == done {
                do { try Terminal.print(message) } catch { return failed }
            } else if UserDriverCommand.exitCode(for: error) == .validationFailure {
                Terminal.note(message)
            } else {
                Terminal.note("userdriver: \(error)")
            }
        }
        return status
    }
}
