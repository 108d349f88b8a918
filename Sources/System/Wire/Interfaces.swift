// The Varlink interfaces, as text that `org.varlink.service.GetInterfaceDescription` gives and that people read.

/// A Varlink interface of this project.
public struct InterfaceDescription: Sendable {
    public let name: String
    /// The interface in Varlink's definition language.
    public let definition: String
    /// Methods that may be called again on the next incarnation of a driver when the first call was cut off by its death.
    public let idempotentMethods: Set<String>

    /// Management: answered by the supervisor.
    public static let management = InterfaceDescription(
        name: "io.userdriver",
        definition: """
            # Devices driven in user mode, and the streams they bring.
            interface io.userdriver

            # A program that watches, as SO_PEERCRED and /proc/PID/comm say.
            type Watcher (pid: int, uid: int, program: string)

            # Open in the driver, or about to be. `clients` counts those who have its ring, `watchers` says who they are.
            type Stream (
              format: string, width: int, height: int, fps: float, frames: int, lost: int, clients: int, watchers: ?[]Watcher
            )

            # `drivenSince` is when the process was given the device, in nanoseconds of CLOCK_MONOTONIC.
            type Device (
              id: string, bus: string, vendorId: string, productId: string, name: string, kind: string, driver: string,
              state: (absent, starting, running, backoff, failed, unsupported, kernel), pid: int, restarts: int, streams: []Stream,
              reason: ?string, warnings: []string, sandbox: ?(applied: []string, missing: []string), signer: ?string,
              drivenSince: ?int
            )

            # A driver on disk. `signer` and `key` (a fingerprint) say who vouches for it, `reason` why it is refused or what it goes without.
            type Driver (
              id: string, version: string, kind: string, path: string, state: (ready, refused), signer: ?string, key: ?string,
              reason: ?string
            )

            type Crash (
              number: int, time: string, deviceID: string, driver: string, pid: int, generation: int, cause: string, signal: int,
              exitStatus: int, lastWords: []string, backtrace: []string, decision: string, driverVersion: ?string, descriptors: ?string,
              lastTransfers: ?[]string, captured: ?int
            )

            # The daemon itself: effective user and groups decide which nodes it may open.
            type Daemon (version: string, pid: int, user: int, groups: []int, usesUSB: bool, detachesKernelDrivers: bool)

            # A bundle that was found; `problem` says why it is not used.
            type FoundDriver (path: string, id: string, version: string, verdict: string, problem: ?string)

            # An address that is looked for: the device that is there, or why there is none.
            type Attachment (url: string, problem: ?string, device: ?string)

            # `node` is the usbfs node, `nodeProblem` why the daemon can't open it, `interfaces` what the driver claims, `rings` the bytes of
            # shared memory, `trouble` what last went wrong with the device, until it delivers again.
            type DeviceDiagnosis (
              status: Device, node: ?string, nodeProblem: ?string, interfaces: []int, driver: ?FoundDriver,
              rings: [](stream: string, bytes: int), trouble: ?string
            )

            # Where the frames lie: the geometry of the memfd whose descriptor comes with the reply (SCM_RIGHTS), to be mapped read-only.
            type Ring (capacity: int, slotCount: int)

            # Every device that is attached or was, or one of them. `device` is an id, vid:pid, bus path or part of the name, everywhere.
            # Without it also every address that is looked for, which may have no device yet.
            method Status(device: ?string) -> (devices: []Device, attachments: ?[]Attachment)

            # What only the daemon knows of the layers below and above its devices, or one of them: `userdriver stack` and `userdriver doctor`.
            method Diagnose(device: ?string) -> (daemon: Daemon, drivers: []FoundDriver, attachments: []Attachment, devices: []DeviceDiagnosis)

            # The device descriptor and configurations, base64, and what the host knows of it.
            method Inspect(device: ?string) -> (id: string, bus: string, speed: int, descriptors: string, manufacturer: ?string, product: ?string, serialNumber: ?string)

            # Watches a stream; call it with `more`. The first reply has event `opened`, `ring` and the descriptor. Later ones tell what happens:
            # `restarted` (a new incarnation writes into the same ring), `absent`, `back`, `failed`, `changed` (a new ring and descriptor come with it), `ended`, `notice`.
            # With `follows` the new ring goes on where the one before ends: that is read until it says so, then this one after the same number.
            # `request` says what is wanted, in the words of the device's class: for a webcam format, width, height, fps, each optional.
            method Watch(device: ?string, stream: ?string, request: ?object) -> (
              event: string, device: string, generation: int, restarts: int, ring: ?Ring, description: ?object, message: ?string,
              follows: ?bool
            )

            # What happens to all devices, as it happens; call it with `more`. Event `device` is what a device said by itself, as JSON.
            method Events() -> (time: string, device: string, event: string, message: string)

            # Ends the driver and starts it again; closes an open circuit.
            method Restart(device: ?string) -> ()

            # The drivers that are installed, with those that may not run.
            method Drivers() -> (drivers: []Driver)

            # Reads the drivers and the lists of signers and of revoked keys again. Devices whose driver has changed get the new one; streams go on.
            # For root and the daemon's own user.
            method ReloadDrivers() -> (drivers: []Driver)

            # Takes the device from the kernel's own driver, or gives it back to it, now and whenever it is plugged in.
            method Take(device: ?string) -> ()
            method Release(device: ?string) -> ()

            # What drivers died of. `descriptors` are the device's, base64; `captured` says how many transfers CrashCapture has.
            method Crashes(device: ?string) -> (crashes: []Crash)

            # The last transfers before a death as a pcapng file, whose descriptor comes with the reply, to be read.
            method CrashCapture(number: int) -> ()

            # The device's flight recorder, whose descriptor comes with the reply, to be mapped read-only; and what a capture needs to know.
            method Capture(device: ?string) -> (id: string, busNumber: int, deviceNumber: int, descriptors: string)

            # A device on another machine: usbip://HOST[:PORT]/BUSID. It is looked for until it is detached, by later daemons too; one that is
            # `transient`, until this daemon ends.
            method Attach(url: string, transient: ?bool) -> ()
            method Detach(url: string) -> ()

            error NoSuchDevice (message: string)
            error AmbiguousDevice (message: string)
            error NotPermitted (message: string)
            error NotSupported (message: string)
            error InvalidParameter (message: string)
            error Busy (message: string)
            error DeviceError (message: string)
            error DeviceUnavailable (message: string)
            error DriverRestarted (message: string)
            error LimitReached (message: string)
            """,
        idempotentMethods: [])

    /// Cameras: answered by the driver. Every method takes `device`, which the supervisor resolves and takes out.
    public static let camera = InterfaceDescription(
        name: "io.userdriver.camera",
        definition: """
            # A webcam's formats and controls.
            interface io.userdriver.camera

            type Format (format: string, width: int, height: int, fps: []float)

            type MenuItem (value: int, text: string)

            type ControlName (name: string, description: string, type: string, unit: string)

            # `type` is one of integer, boolean, menu, bitmap. `value` is what the device says now; `automatic` that another control drives it, `remedy`
            # what changes that. `problem` is why there is neither value nor range, in words `message`: silent (it does not answer), refused, unread.
            type Control (
              name: string, description: string, type: string, minimum: int, maximum: int, step: int, default: int, value: int,
              menu: ?[]MenuItem, readable: bool, writable: bool, automatic: bool, unit: string, selector: int,
              problem: ?string, message: ?string, remedy: ?string
            )

            # `reason` is held (an automatic control drives it), silent, refused, readOnly or unread (there was no time left for it).
            type ControlFailure (name: string, reason: string, message: string)

            method Formats(device: ?string) -> (formats: []Format)
            # The controls that the descriptors announce. The camera is not asked.
            method ControlNames(device: ?string) -> (controls: []ControlName)
            # Those of these names, or all.
            method GetControls(device: ?string, names: ?[]string) -> (controls: []Control)
            # Asks a control that was found silent again.
            method GetControl(device: ?string, name: string) -> (control: Control)
            # `value` as the control counts; it is refused where it is out of range.
            method SetControl(device: ?string, name: string, value: int) -> (control: Control)
            # Back to the device's default: one control, or as many as can be of these names or of all.
            method ResetControls(device: ?string, name: ?string, names: ?[]string) -> (controls: []Control, failed: ?[]ControlFailure)

            error InvalidParameter (message: string)
            error NotSupported (message: string)
            error DeviceError (message: string)
            """,
        idempotentMethods: ["Formats", "ControlNames", "GetControls", "GetControl", "SetControl", "ResetControls"])

    /// Every class interface that drivers may answer.
    public static let classInterfaces = [camera]
}
