// Requests for a node's controls, which the camera's driver answers: asked without keeping the bus waiting.

import CLinux
import Synchronization
import UVC
import UserDriverClient

/// What a host is told in the end.
enum ControlOutcome: Sendable {
    case value([UInt8])
    case accepted
    /// `VC_REQUEST_ERROR_CODE_CONTROL`'s number (UVC 1.1 §4.2.1.2).
    case refused(UInt8)
}

enum RequestError {
    static let notReady: UInt8 = 1
    static let wrongState: UInt8 = 2
    static let outOfRange: UInt8 = 4
    static let invalidUnit: UInt8 = 5
    static let invalidControl: UInt8 = 6
    static let invalidRequest: UInt8 = 7
}

/// One question at a time, as a control pipe has it.
final class ControlDesk: Sendable {
    private struct State {
        var outcome: ControlOutcome?
        /// Which question it is about: an answer that comes too late is nobody's.
        var number = 0
        var task: Task<Void, Never>?
        /// The last value of each of the camera's controls that was heard of.
        var known: [String: Int] = [:]
        /// The last value that the host set, or was told of without having asked.
        var told: [String: Int] = [:]
    }

    private let camera: Camera
    private let state: Mutex<State>
    private let isNews: @Sendable () -> Void

    init(_ camera: Camera, _ controls: NodeControls, isNews: @escaping @Sendable () -> Void) {
        self.camera = camera
        self.isNews = isNews
        var known: [String: Int] = [:]
        for field in controls.controls.flatMap(\.fields) { known[field.control.name] = field.control.value }
        state = Mutex(State(known: known, told: known))
    }

    func ask(_ control: NodeControl) {
        begin { desk in
            for field in control.fields {
                // Who does not answer now has the value that it had: a slider that stands still harms nobody.
                do throws(ClientError) {
                    desk.remember(try await desk.camera.control(field.control.name))
                } catch {}
            }
            return .value(desk.lastValue(of: control))
        }
    }

    func set(_ control: NodeControl, _ bytes: [UInt8]) {
        let before = lastValue(of: control)
        begin { desk in
            for field in control.fields {
                guard let value = field.definition.decode(bytes) else { return .refused(RequestError.invalidRequest) }
                // Of two fields the one that is meant.
                if control.fields.count > 1, field.definition.decode(before) == value { continue }
                if let refusal = await desk.set(field, to: value) { return .refused(refusal) }
            }
            return .accepted
        }
    }

    /// The camera's control has another value. What the host is to be told, `nil` where it knows: it has set it so.
    func heard(_ name: String, _ value: Int, of control: NodeControl) -> [UInt8]? {
        let isNews = state.withLock { state in
            state.known[name] = value
            return state.told.updateValue(value, forKey: name) != value
        }
        return isNews ? lastValue(of: control) : nil
    }

    private func set(_ field: NodeControl.Field, to value: Int) async -> UInt8? {
        let name = field.control.name
        // The driver tells everybody of what is set, perhaps before it answers.
        let before = state.withLock { $0.told.updateValue(value, forKey: name) }
        do throws(ClientError) {
            remember(try await camera.setControl(name, to: value))
            return nil
        } catch {
            state.withLock { if $0.told[name] == value { $0.told[name] = before } }
            switch error.code {
            case .invalidParameter: return RequestError.outOfRange
            case .notSupported: return RequestError.invalidRequest
            case .deviceError:
                // One that an automatic mode drives is accepted and left, as programs expect that set everything they find. Which mode that is
                // cameras do not always say, so all that have one are.
                if field.definition.automatic != nil { return nil }
                guard let now = await current(name) else { return RequestError.notReady }
                remember(now)
                return now.automatic ? nil : RequestError.wrongState
            default: return RequestError.notReady
            }
        }
    }

    private func current(_ name: String) async -> CameraControl? {
        do throws(ClientError) { return try await camera.control(name) } catch { return nil }
    }

    private func remember(_ control: CameraControl) {
        guard control.problem == nil else { return }
        state.withLock { $0.known[control.name] = control.value }
    }

    private func lastValue(of control: NodeControl) -> [UInt8] {
        let known = state.withLock { $0.known }
        return control.bytes { known[$0.control.name] ?? $0.control.value }
    }

    private func begin(_ work: @escaping @Sendable (ControlDesk) async -> ControlOutcome) {
        let number = state.withLock { state in
            state.task?.cancel()
            state.outcome = nil
            state.number += 1
            return state.number
        }
        let task = Task {
            let outcome = await work(self)
            let isAwaited = self.state.withLock { state in
                guard state.number == number else { return false }
                state.outcome = outcome
                return true
            }
            if isAwaited { self.isNews() }
        }
        state.withLock { if $0.number == number { $0.task = task } }
    }

    /// The answer to the last question, once.
    func takeOutcome() -> ControlOutcome? {
        state.withLock { state in
            defer { state.outcome = nil }
            return state.outcome
        }
    }
}
