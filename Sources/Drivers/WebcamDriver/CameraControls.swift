// The camera's controls as clients see them: each asked when somebody wants it, those that do not answer remembered.

import CLinux
import USB
import UVC
import Wire

/// A control with its value now.
struct ControlState: Sendable {
    var control: VideoControl
    /// `nil` if the camera does not let it be read.
    var value: Int?
    /// The automatic control that drives it at the moment.
    var holder: ControlHolder?
}

/// What can be said of a control.
enum ControlReading: Sendable {
    case state(ControlState)
    /// It did not answer; in words.
    case silent(VideoControlDefinition, String)
    /// The camera refuses every request for it.
    case refused(VideoControlDefinition, String)
    /// There was no time left to ask.
    case unread(VideoControlDefinition)
}

/// What became of controls that were to have their defaults.
struct ControlReset: Sendable {
    struct Failure: Sendable {
        var name: String
        /// Why, as in `VideoControlError.Code`.
        var reason: String
        var message: String
    }
    var states: [ControlState] = []
    var failures: [Failure] = []
}

/// Asks the camera about a control at its first use, and never about another one: one that hangs costs those who want it, once.
actor CameraControls {
    /// Time for a control that is one of many, and for one that is asked for by its name.
    private static let quick = Duration.milliseconds(1500)
    private static let patient = Duration.seconds(4)
    /// Time for a value to be set: a lens or a motor moves.
    private static let setting = Duration.seconds(5)
    /// A call about many controls asks no more after this time, so that it is answered before its caller's patience ends.
    private static let callLimit: UInt64 = 8_000_000_000
    /// How long a control that did not answer is left alone, unless it is asked for by its name; doubled each time.
    private static let silenceMemory: UInt64 = 30_000_000_000
    private static let silenceDoublings = 4

    private struct Silence {
        var until: UInt64
        var count: Int
        var message: String
    }
    private typealias Reading = Task<Result<ControlState, VideoControlError>, Never>

    private let controls: VideoControls
    private let notice: @Sendable (String) -> Void
    private var known: [String: VideoControl] = [:]
    private var silences: [String: Silence] = [:]
    /// Controls one after the other that did not answer: two may be a camera that answers nothing.
    private var silencesInARow = 0
    private var readings: [String: Reading] = [:]
    /// What a camera that was opened anew has forgotten, still to be set; `nil` for the default.
    private var forgotten: [String: Int?] = [:]
    private var restorations: [String: Task<Void, Never>] = [:]

    init(device: any USBDeviceHandle, function: VideoFunction, quirks: VideoQuirks, notice: @escaping @Sendable (String) -> Void) {
        controls = VideoControls(device: device, function: function, quirks: quirks)
        self.notice = notice
    }

    /// What the descriptors announce: nothing is asked of the camera.
    nonisolated var announced: [VideoControlDefinition] { controls.announced }

    /// Automatic controls come first where several are set: while one is on, the camera refuses what it drives.
    private static func inOrder(_ definitions: [VideoControlDefinition]) -> [VideoControlDefinition] {
        let automatic = Set(VideoControlDefinition.all.compactMap(\.automatic?.name))
        return definitions.filter { automatic.contains($0.name) } + definitions.filter { !automatic.contains($0.name) }
    }

    private func definitions(_ names: [String]?) throws(CallError) -> [VideoControlDefinition] {
        guard let names else { return controls.announced }
        guard names.count <= VideoControlDefinition.all.count else {
            throw CallError("InvalidParameter", "\(names.count) names is more than there are controls.")
        }
        var definitions: [VideoControlDefinition] = []
        for name in names {
            do throws(VideoControlError) {
                definitions.append(try controls.definition(name))
            } catch {
                throw Self.forCaller(error)
            }
        }
        return definitions
    }

    // MARK: Reading

    /// Those of these names, `nil` for all. Those that refuse everything are left out of all.
    func read(_ names: [String]?) async throws(CallError) -> [ControlReading] {
        let deadline = clinux_monotonic_ns() + Self.callLimit
        var result: [ControlReading] = []
        for definition in try definitions(names) {
            let now = clinux_monotonic_ns()
            if let silence = silences[definition.name], silence.until > now {
                result.append(.silent(definition, silence.message))
                continue
            }
            guard now < deadline else {
                result.append(.unread(definition))
                continue
            }
            do throws(VideoControlError) {
                result.append(.state(try await state(definition.name, within: Self.quick)))
            } catch {
                switch error.code {
                case .silent: result.append(.silent(definition, error.reason))
                case .refused: if names != nil { result.append(.refused(definition, error.reason)) }
                default: throw Self.forCaller(error)
                }
            }
        }
        return result
    }

    func one(_ name: String) async throws(CallError) -> ControlState {
        do throws(VideoControlError) {
            return try await state(try controls.definition(name).name, within: Self.patient)
        } catch {
            throw Self.forCaller(error)
        }
    }

    /// Whoever wants the same control meanwhile gets the same answer: many who wait for one that hangs cost no more than one does.
    private func state(_ name: String, within limit: Duration) async throws(VideoControlError) -> ControlState {
        await settle(name)
        if let reading = readings[name] { return try await reading.value.get() }
        let reading = Reading {
            do throws(VideoControlError) {
                return .success(try await self.ask(name, within: limit))
            } catch {
                return .failure(error)
            }
        }
        readings[name] = reading
        let outcome = await reading.value
        if readings[name] == reading { readings[name] = nil }
        return try outcome.get()
    }

    private func ask(_ name: String, within limit: Duration) async throws(VideoControlError) -> ControlState {
        let control = try await control(name, within: limit)
        let value = try await heeding(name) { () async throws(VideoControlError) in
            control.isReadable ? try await controls.value(control, limit: limit) : nil
        }
        return ControlState(control: control, value: value, holder: try await holder(of: control))
    }

    /// What the control is: asked once.
    private func control(_ name: String, within limit: Duration) async throws(VideoControlError) -> VideoControl {
        if let control = known[name] { return control }
        let control = try await heeding(name) { () async throws(VideoControlError) in
            try await controls.control(name, limit: limit, odd: notice)
        }
        known[name] = control
        return control
    }

    private func holder(of control: VideoControl) async throws(VideoControlError) -> ControlHolder? {
        let isSilent = control.definition.automatic.flatMap { silences[$0.name] } != nil
        return try await controls.holder(of: control, limit: Self.quick, unknown: isSilent)
    }

    /// Asks a control, and remembers whether it answers. Two in a row that do not may be a camera that answers nothing any more, which is no
    /// control's fault, and is found out with one question.
    private func heeding<Value: Sendable>(
        _ name: String, _ question: () async throws(VideoControlError) -> Value
    ) async throws(VideoControlError) -> Value {
        if silencesInARow >= 2 { try await confirmAnswering() }
        do throws(VideoControlError) {
            let value = try await question()
            silences[name] = nil
            silencesInARow = 0
            return value
        } catch {
            guard error.code == .silent else {
                if error.code != .transferFailed { silencesInARow = 0 }
                throw error
            }
            silencesInARow += 1
            if silencesInARow >= 2 { try await confirmAnswering() }
            let count = (silences[name]?.count ?? 0) + 1
            if count == 1 { notice("\(error). It is left alone for a while; the other controls are not affected.") }
            silences[name] = Silence(
                until: clinux_monotonic_ns() + Self.silenceMemory << UInt64(min(count - 1, Self.silenceDoublings)), count: count,
                message: error.reason)
            throw error
        }
    }

    private func confirmAnswering() async throws(VideoControlError) {
        let answers: Bool
        do throws(USBError) {
            answers = try await controls.answersAnything()
        } catch {
            throw VideoControlError(.transferFailed, control: "controls", reason: "\(error)", underlying: error)
        }
        guard answers else {
            throw VideoControlError(
                .transferFailed, control: "controls",
                reason: "the camera no longer answers requests; unplug it and plug it in again, or try userdriver restart")
        }
        silencesInARow = 0
    }

    // MARK: Setting

    func set(_ name: String, to value: Int) async throws(CallError) -> ControlState {
        do throws(VideoControlError) {
            let definition = try controls.definition(name)
            if restorations[definition.name] == nil { forgotten[definition.name] = .none }
            await settle(definition.name)
            return try await set(definition.name, to: value, within: Self.patient)
        } catch {
            throw Self.forCaller(error)
        }
    }

    private func set(_ name: String, to value: Int?, within limit: Duration) async throws(VideoControlError) -> ControlState {
        let control = try await control(name, within: limit)
        let accepted = try await heeding(name) { () async throws(VideoControlError) in
            try await controls.set(control, to: value ?? control.defaultValue, limit: Self.setting)
        }
        // Who asks from now on is told what it is now.
        readings[name] = nil
        var state = ControlState(control: control, value: accepted)
        guard control.isReadable else { return state }
        do throws(VideoControlError) {
            state.value = try await controls.value(control, limit: Self.quick)
            state.holder = try await holder(of: control)
        } catch {
            guard error.code != .transferFailed else { throw error }
            notice("\(name) was set but can't be read back: \(error.reason)")
        }
        return state
    }

    /// One control back to its default; throws where that can't be.
    func reset(_ name: String) async throws(CallError) -> ControlState {
        do throws(VideoControlError) {
            let definition = try controls.definition(name)
            await settle(definition.name)
            return try await set(definition.name, to: nil, within: Self.patient)
        } catch {
            throw Self.forCaller(error)
        }
    }

    /// Those of these names, `nil` for all that can be set: as many as can be.
    func reset(_ names: [String]?) async throws(CallError) -> ControlReset {
        let deadline = clinux_monotonic_ns() + Self.callLimit
        var result = ControlReset()
        for definition in Self.inOrder(try definitions(names)) {
            let name = definition.name
            func fail(_ reason: String, _ message: String) {
                result.failures.append(ControlReset.Failure(name: name, reason: reason, message: message))
            }
            let now = clinux_monotonic_ns()
            if let silence = silences[name], silence.until > now {
                fail(VideoControlError.Code.silent.rawValue, silence.message)
                continue
            }
            guard now < deadline else {
                fail("unread", "there was no time left for it")
                continue
            }
            await settle(name)
            do throws(VideoControlError) {
                result.states.append(try await set(name, to: nil, within: Self.quick))
            } catch {
                switch error.code {
                case .readOnly, .refused:
                    if names != nil || known[name]?.isWritable == true { fail(error.code.rawValue, error.reason) }
                case .transferFailed: throw Self.forCaller(error)
                default: fail(error.code.rawValue, error.reason)
                }
            }
        }
        return result
    }

    // MARK: After the camera was opened anew

    /// Notes what the camera has forgotten. Who asks for one of these controls waits until it is set again, and for no other one.
    /// - Parameter defaults: the others are to have their defaults, which this camera has garbled.
    func prepareRestoring(_ values: [String: Int], defaults: Bool) {
        for (name, value) in values where controls.announced.contains(where: { $0.name == name }) { forgotten[name] = .some(value) }
        if defaults {
            for definition in controls.announced where values[definition.name] == nil { forgotten[definition.name] = .some(nil) }
        }
    }

    /// Sets it again, one after the other. Pictures do not wait for that.
    func restore() async {
        for definition in Self.inOrder(controls.announced) { await restored(definition.name) }
    }

    /// Waits until a control, and the one that governs it, hold what was set before.
    private func settle(_ name: String) async {
        if let automatic = VideoControlDefinition.all.first(where: { $0.name == name })?.automatic { await restored(automatic.name) }
        await restored(name)
    }

    private func restored(_ name: String) async {
        if let restoration = restorations[name] { return await restoration.value }
        guard let value = forgotten.removeValue(forKey: name) else { return }
        let restoration = Task { await self.setAgain(name, to: value) }
        restorations[name] = restoration
        await restoration.value
        restorations[name] = nil
    }

    /// As well as the device allows: what is refused is said and left.
    private func setAgain(_ name: String, to value: Int?) async {
        do throws(VideoControlError) {
            _ = try await set(name, to: value, within: Self.quick)
        } catch {
            guard value != nil || error.code != .readOnly && error.code != .held && error.code != .refused else { return }
            notice("\(name) could not be set to \(value.map(String.init) ?? "its default") again: \(error.reason)")
        }
    }

    /// The caller's mistakes and the camera's refusals, by the names of the Varlink interface.
    private static func forCaller(_ error: VideoControlError) -> CallError {
        switch error.code {
        case .noSuchControl, .outOfRange: CallError("InvalidParameter", "\(error)")
        case .readOnly, .writeOnly: CallError("NotSupported", "\(error)")
        case .silent: CallError("DeviceError", "\(error); the others are not affected")
        case .held, .refused, .transferFailed: CallError("DeviceError", "\(error)")
        }
    }
}
