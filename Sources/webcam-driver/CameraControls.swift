// The camera's controls as clients see them: asked once what they are, and each time what they hold.

import USB
import UVC
import Wire

/// A control with its value now.
struct ControlState: Sendable {
    var control: VideoControl
    /// `nil` where the camera does not let it be read.
    var value: Int?
    /// Another control drives it at the moment.
    var isAutomatic: Bool
}

/// Asks the camera about its controls at the first call, not at the start: a stream must not wait for them.
actor CameraControls {
    private let device: any USBDeviceHandle
    private let function: VideoFunction
    private let quirks: VideoQuirks
    private let notice: @Sendable (String) -> Void
    private var asked: Task<VideoControls, any Error>?

    init(device: any USBDeviceHandle, function: VideoFunction, quirks: VideoQuirks, notice: @escaping @Sendable (String) -> Void) {
        self.device = device
        self.function = function
        self.quirks = quirks
        self.notice = notice
    }

    /// Automatic modes come first when several controls are set: while one is on, the camera refuses what it drives.
    static func precedes(_ a: String, _ b: String) -> Bool {
        func rank(_ name: String) -> Int { name.contains("auto") ? 0 : 1 }
        return (rank(a), a) < (rank(b), b)
    }

    private func known() async throws -> VideoControls {
        if let asked { return try await asked.value }
        let task = Task { try await self.ask() }
        asked = task
        do {
            return try await task.value
        } catch {
            asked = nil
            throw error
        }
    }

    private func ask() async throws -> VideoControls {
        let controls = try await VideoControls(device: device, function: function, quirks: quirks)
        for oddity in controls.oddities { notice(oddity) }
        return controls
    }

    func defaults() async throws -> [String: Int] {
        Dictionary(try await known().controls.filter(\.isWritable).map { ($0.name, $0.defaultValue) }) { first, _ in first }
    }

    func all() async throws -> [ControlState] {
        let controls = try await known()
        var states: [ControlState] = []
        for control in controls.controls { states.append(try await state(of: control, in: controls)) }
        return states
    }

    func one(_ name: String) async throws -> ControlState {
        let controls = try await known()
        do {
            return try await state(of: controls.control(name), in: controls)
        } catch {
            throw Self.forCaller(error)
        }
    }

    func set(_ name: String, to value: Int) async throws -> ControlState {
        let controls = try await known()
        do {
            let control = try controls.control(name)
            try await controls.set(control.name, to: value)
            return try await state(of: control, in: controls)
        } catch {
            throw Self.forCaller(error)
        }
    }

    /// Every writable control, or one. One that an automatic mode drives is left to it.
    func reset(_ name: String?) async throws -> [ControlState] {
        let controls = try await known()
        guard let name else {
            let writable = controls.controls.filter(\.isWritable).sorted { Self.precedes($0.name, $1.name) }
            for control in writable {
                do {
                    try await controls.reset(control.name)
                } catch {
                    guard error.code == .refused else { throw error }
                    notice("The camera did not take the default: \(error)")
                }
            }
            return try await all()
        }
        do {
            let control = try controls.control(name)
            try await controls.reset(control.name)
            return [try await state(of: control, in: controls)]
        } catch {
            throw Self.forCaller(error)
        }
    }

    private func state(of control: VideoControl, in controls: VideoControls) async throws(VideoControlError) -> ControlState {
        ControlState(
            control: control, value: control.isReadable ? try await controls.value(control.name) : nil,
            isAutomatic: control.definition.automatic != nil ? try await controls.isInactive(control.name) : false)
    }

    /// The caller's mistakes and the camera's refusals, by the names of the Varlink interface.
    private static func forCaller(_ error: VideoControlError) -> CallError {
        switch error.code {
        case .noSuchControl, .outOfRange: CallError("InvalidParameter", "\(error)")
        case .readOnly, .writeOnly: CallError("NotSupported", "\(error)")
        case .refused, .transferFailed: CallError("DeviceError", "\(error)")
        }
    }
}
