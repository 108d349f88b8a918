// `io.userdriver`: what the supervisor answers itself, as text that people and programs read.

/// Management: devices and the streams they bring. The only interface with devices that this
/// project's daemon has compiled in.
public enum ManagementInterface {
    public static let name = "io.userdriver"
    public static let interface = VarlinkInterface(ours: definition)

    public static let definition = """
        # Devices driven in user mode, and the streams they bring.
        interface io.userdriver

        # A program that watches, according to SO_PEERCRED and /proc/PID/comm; or, with `through`, one that the program of that name shows
        # the device to, according to that program.
        type Watcher (pid: int, uid: int, program: string, through: ?string)

        # Open in the driver, or about to be. `clients` counts those that have its ring, `watchers` lists them. What the driver shows of the
        # stream stands beside, under the names of its class: for a webcam format, width, height, fps.
        type Stream (name: string, frames: int, lost: int, clients: int, watchers: ?[]Watcher)

        # Something that the driver is doing: a stream, a page, a download. `done` units since it began, `rate` units a second. \
        `waiting` is a
        # wait that the driver has declared, `seconds` long so far, of `limit` that it is granted: until then silence is not a hang.
        type Activity (name: string, unit: string, done: int, rate: float, waiting: ?(reason: string, seconds: float, limit: float))

        # Where other programs reach the device over their own protocol: `kind` is `escl`.
        type Endpoint (kind: string, url: string)

        # `drivenSince` is when the process was given the device, in nanoseconds of CLOCK_MONOTONIC. `shown` is what the driver shows of itself, under
        # the names of its class.
        type Device (
          id: string, bus: string, vendorId: string, productId: string, name: string, kind: string, driver: string,
          state: (absent, starting, running, backoff, failed, unsupported, kernel), pid: int, restarts: int, streams: []Stream,
          reason: ?string, warnings: []string, sandbox: ?(applied: []string, missing: []string), signer: ?string,
          drivenSince: ?int, shown: ?object, activities: ?[]Activity, nodes: ?int, endpoints: ?[]Endpoint, viewers: ?[]Watcher,
          function: ?(interface: int, name: ?string, device: string)
        )

        # A driver on disk. `signer` and `key` (a fingerprint) say who vouches for it, `reason` why it is refused or what it lacks,
        # `provides` the interfaces that it answers.
        type Driver (
          id: string, version: string, kind: string, path: string, state: (ready, refused), signer: ?string, key: ?string,
          reason: ?string, provides: ?[]string
        )

        # A method of a service. `deadline` is in seconds, for the next reply where there are several; `right` says who may call it.
        # One that is `idempotent` is repeated when its driver dies; one that `resumes` even after it has given replies.
        type Method (name: string, idempotent: bool, resumes: bool, deadline: float, right: (anyone, administrator))

        # An interface that a device's driver answers: call its methods with the parameter `device` in addition to their own.
        type Service (device: string, interface: string, methods: []Method)

        type Crash (
          number: int, time: string, deviceID: string, driver: string, pid: int, generation: int, cause: string, signal: int,
          exitStatus: int, lastWords: []string, backtrace: []string, decision: string, driverVersion: ?string, descriptors: ?string,
          lastTransfers: ?[]string, captured: ?int
        )

        # The daemon itself: effective user and groups decide which nodes it may open.
        type Daemon (version: string, pid: int, user: int, groups: []int, usesUSB: bool, detachesKernelDrivers: bool)

        # A bundle that was found; `problem` says why it is not used; `code` is the same for programs: Unsigned, NotTrusted, Unusable.
        type FoundDriver (path: string, id: string, version: string, verdict: string, problem: ?string, code: ?string)

        # What went wrong, as driver or supervisor saw it. `layer` is one of those of `userdriver stack`, where it is known.
        type Fault (code: string, message: string, layer: ?string, remedy: ?string, detail: ?object)

        # An address that the daemon looks for: the device that is there, or why there is none.
        type Attachment (url: string, problem: ?string, device: ?string)

        # `node` is the usbfs node, `nodeProblem` why the daemon can't open it, `interfaces` what the driver claims, `rings` the bytes of
        # shared memory, `fault` what last went wrong with the device, until it delivers again; `trouble` is its message.
        type DeviceDiagnosis (
          status: Device, node: ?string, nodeProblem: ?string, interfaces: []int, driver: ?FoundDriver,
          rings: [](stream: string, bytes: int), trouble: ?string, fault: ?Fault
        )

        # Where the frames lie: the geometry of the memfd whose descriptor comes with the reply (SCM_RIGHTS), to be mapped read-only.
        # With `report` a second descriptor comes: the reader's page, on which it writes what it is done with.
        type Ring (capacity: int, slotCount: int, report: ?bool)

        # Every device that is attached or was, or one of them. `device` is an id, vid:pid, bus path or part of the name, everywhere.
        # Without it also every address that the daemon looks for, which may have no device yet.
        method Status(device: ?string) -> (devices: []Device, attachments: ?[]Attachment)

        # What only the daemon knows of the layers below and above its devices, or one of them: `userdriver stack` and `userdriver doctor`.
        method Diagnose(device: ?string) -> (daemon: Daemon, drivers: []FoundDriver, attachments: []Attachment, devices: []DeviceDiagnosis)

        # The device descriptor and configurations, base64, and what the host knows of it.
        method Inspect(device: ?string) -> (id: string, bus: string, speed: int, descriptors: string, manufacturer: ?string, product: ?string, serialNumber: ?string)

        # Watches a stream; call it with `more`. The first reply has event `opened`, `ring` and the descriptor. Later ones report \
        what happens:
        # `restarted` (a new incarnation writes into the same ring), `absent`, `back`, `failed`, `changed` (a new ring and descriptor come with it), `ended`, `notice`.
        # With `follows` the new ring goes on where the one before ends: that is read until it says so, then this one after the same number.
        # `request` says what is wanted, in the words of the device's class: for a webcam format, width, height, fps, each optional.
        # A client that sets `reports` tells the driver how far it is (Docs/Rings.md), if it is given a page for that.
        method Watch(device: ?string, stream: ?string, request: ?object, reports: ?bool) -> (
          event: string, device: string, generation: int, restarts: int, ring: ?Ring, description: ?object, message: ?string,
          follows: ?bool
        )

        # What happens to all devices, as it happens; call it with `more`. Event `device` is something a device reported by \
        itself: `name` and
        # `parameters` in its driver's words, both together in `message`.
        method Events() -> (time: string, device: string, event: string, message: string, name: ?string, parameters: ?object)

        # Ends the driver and starts it again; closes an open circuit.
        method Restart(device: ?string) -> ()

        # The interfaces that devices answer besides this one: the definitions come from GetInterfaceDescription of org.varlink.service.
        method Services(device: ?string) -> (services: []Service)

        # Memory of that many bytes for this connection's next call to a driver; its descriptor comes with the reply, to be written to and unmapped
        # before the call. Up to four for each call. No other descriptors are accepted.
        method Memory(size: int) -> ()

        # The drivers that are installed, including those that may not run.
        method Drivers() -> (drivers: []Driver)

        # Reads the drivers and the lists of signers and of revoked keys again. Devices whose driver has changed get the new one; streams go on.
        # For root and the daemon's own user.
        method ReloadDrivers() -> (drivers: []Driver)

        # Takes the device from the kernel's own driver, or gives it back to it, now and whenever it is plugged in.
        method Take(device: ?string) -> ()
        method Release(device: ?string) -> ()

        # How many /dev/videoN `userdriver-video` makes for a camera, now and whenever it is plugged in: 0 for none, 4 at most. A device's
        # status has `nodes` if this was set; otherwise it gets one.
        method SetNodes(device: ?string, nodes: int) -> ()

        # A program serves the device at `url`, on this machine's loopback, for as long as this call lasts; call it with `more`. \
        It is shown in the
        # device's status.
        method Offer(device: ?string, kind: string, url: string) -> ()

        # A program shows the device's pictures to others, and lists them for as long as this call lasts; call it with `more`, and \
        again when they
        # change. A reply with `revoked` has the process that must no longer be shown the device. Only root is believed about \
        other users' programs.
        method Show(device: ?string, viewers: []Watcher) -> (revoked: ?int)

        # Cuts a process off from the device: it sees nothing after the current frame, and gets no more for as long as it runs.
        method Revoke(device: ?string, process: int) -> ()

        # A device that changes hands: from the kernel's driver (`taken`), or back to it. `failure` says why it did not.
        type SetUpChange (device: string, name: string, taken: bool, failure: ?string)

        # What would change if all devices that have a driver were taken from the kernel's drivers, or none, or those that the \
        administrator's
        # rules name. With `apply` it does: `take` is what `userdriver setup` has written beside those rules, and what was chosen by Take and Release
        # is forgotten. What is given back is the kernel's when the reply comes. `apply` is for root and the daemon's own user.
        method SetUp(take: (all, none, rules), apply: ?bool) -> (changes: []SetUpChange)

        # What drivers died of. `descriptors` are the device's, base64; `captured` says how many transfers CrashCapture has.
        method Crashes(device: ?string) -> (crashes: []Crash)

        # The last transfers before a death, as a pcapng file whose descriptor comes with the reply.
        method CrashCapture(number: int) -> ()

        # The device's flight recorder, whose descriptor comes with the reply, to be mapped read-only; and what a capture needs to know.
        method Capture(device: ?string) -> (id: string, busNumber: int, deviceNumber: int, descriptors: string)

        # A device on another machine: usbip://HOST[:PORT]/BUSID. It is looked for until it is detached, by later daemons too; one that is
        # `transient`, until this daemon ends.
        method Attach(url: string, transient: ?bool) -> ()
        method Detach(url: string) -> ()

        # Something that a device delivers whole: a page, a photo, a file. `index` counts those of a job from 0; `name` is the metadata's.
        # `length` is what is written so far of one that is open. `sha256` is of one that is committed, `reason` of one that is abandoned.
        type Object (
          id: int, device: string, job: string, index: int, name: string, state: (open, committed, abandoned), length: int,
          sha256: ?string, metadata: object, reason: ?string
        )

        # Begins a job, whose name the caller chooses: 16 to 64 random letters, digits, `-`, `_` and `.`. Asks for nothing by \
        itself: what the
        # device should do is a call to its driver, which is told the job. Called again by the same user, it leaves the job as it is.
        method OpenJob(device: ?string, job: string) -> (job: string, device: string)

        # Removes everything that belongs to the job, whatever state it is in.
        method DiscardJob(job: string) -> ()

        # The caller's objects of a device, of a job, or all; after the object `after`, in the order of their ids. With `next` there are more after that.
        method Objects(device: ?string, job: ?string, after: ?int) -> (objects: []Object, next: ?int)

        # A committed object's bytes: its extents, one after the other, each in a memfd: `descriptor` is the index of its \
        descriptor among those that come with the
        # reply. Readers should check `sha256`. Docs/Objects.md has a script.
        method OpenObject(id: int) -> (object: Object, extents: [](descriptor: int, offset: int, length: int))

        # The caller is done with a committed or abandoned object, which is then removed. Only for the user who began the job.
        method AcknowledgeObject(id: int, job: string) -> ()

        # Reports changes to the caller's objects of a device, of a job, or all; call it with `more`. The first reply comes at \
        once. `revision`
        # grows with each change; several may be told in one.
        method WatchObjects(device: ?string, job: ?string) -> (revision: int)

        error NoSuchJob (message: string)
        error NoSuchObject (message: string)
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
        """
}
