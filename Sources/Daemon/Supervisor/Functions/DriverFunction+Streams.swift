// A device's streams: opened for the first who watches, closed after the last, carried over from driver to driver.

import Bundles
import FileDescriptors
import FrameRing
import Glibc
import Wire

extension DriverFunction {
    enum WatchEvent {
        case opened, restarted, back, changed
        case absent(String)
        case failed(String)
        case ended(String)
        case notice(String)

        var name: String {
            switch self {
            case .opened: "opened"
            case .restarted: "restarted"
            case .back: "back"
            case .changed: "changed"
            case .absent: "absent"
            case .failed: "failed"
            case .ended: "ended"
            case .notice: "notice"
            }
        }
        var message: String? {
            switch self {
            case .opened, .restarted, .back, .changed: nil
            case .absent(let text), .failed(let text), .ended(let text), .notice(let text): text
            }
        }
        var carriesRing: Bool {
            switch self {
            case .opened, .changed: true
            case .restarted, .back, .absent, .failed, .ended, .notice: false
            }
        }
        var isLast: Bool { if case .ended = self { true } else { false } }
    }

    // MARK: Watching

    /// The stream that is meant where none is named: the driver's first. Throws `InvalidParameter`
    /// where nobody knows that.
    func defaultStream() throws(CallError) -> String {
        if let first = knownStreams.first ?? bundle?.manifest.streams.first { return first }
        throw CallError("InvalidParameter", "\(name) has no default stream: say which one.")
    }

    /// Somebody wants to watch. The answer comes when the stream is open, which may take a driver's start.
    /// - Parameter reports: it tells how far it is, where it gets a page for that.
    func watch(_ call: ClientCall, stream name: String, request: JSONValue, reports: Bool) throws(CallError) {
        switch state {
        case .unsupported: throw CallError("NotSupported", reason ?? "No driver is installed for this device.")
        case .kernel: throw CallError("DeviceUnavailable", reason ?? Self.leftToKernel)
        case .failed: throw CallError("DeviceUnavailable", reason ?? "The driver has failed.")
        case .absent, .starting, .running, .backoff: break
        }
        try checkNotRevoked(call.peer.processID)
        guard !name.isEmpty, name.utf8.count <= 64 else { throw CallError("InvalidParameter", "A stream's name must have 1 to 64 bytes.") }
        let requestBytes = try affordRequest(request, of: name)
        let stream: ManagedStream
        if let known = streams[name] {
            stream = known
        } else {
            guard streams.count < limits.streamsPerDevice else { throw CallError("LimitReached", "The device has too many streams.") }
            stream = ManagedStream(name: name)
            streams[name] = stream
        }
        let watcher = StreamWatcher(
            call: call, request: request, requestBytes: requestBytes, reports: reports, number: stream.nextNumber())
        watcher.isReturning = succession.watchersTimer.isSet && stream.takesBack(call.peer)
        stream.watchers.append(watcher)
        call.onCancel = { [weak self, weak watcher, weak stream] in
            guard let self, let watcher, let stream else { return }
            self.leave(stream, watcher)
        }
        if state == .absent {
            watcher.wasToldAbsent = true
            tell(stream, watcher, .absent(reason ?? "The device is not attached."))
            return
        }
        watcher.limit.set(after: timing.callLimit) { [weak self, weak watcher, weak stream] in
            guard let self, let watcher, let stream else { return }
            let why = (self.reason ?? self.trouble?.fault.message).map { " \($0)" } ?? ""
            self.refuse(
                stream, watcher, CallError("DeviceUnavailable", "The stream was not opened within \(self.timing.callLimit.text).\(why)"))
        }
        if state == .running { ask(stream, watcher) }
    }

    /// What a client asks is kept for each driver to come: it is bounded in the form in which it goes out. Tells its bytes.
    private func affordRequest(_ request: JSONValue, of name: String) throws(CallError) -> Int {
        let bytes = request.encodedByteCount
        guard bytes <= limits.requestBytes else {
            throw CallError("InvalidParameter", "A request for a stream has at most \(limits.requestBytes) bytes; this one has \(bytes).")
        }
        let others = streams.values.reduce(0) { $0 + ($1.name == name ? 0 : $1.requestBudget) }
        guard others + max(bytes, streams[name]?.requestBudget ?? 0) <= limits.requestBytesPerDevice else {
            throw CallError("LimitReached", "The requests for the device's streams are too large together.")
        }
        return bytes
    }

    private func ask(_ stream: ManagedStream, _ watcher: StreamWatcher) {
        guard !watcher.hasRing, !watcher.isAsking else { return }
        if stream.isOpen, stream.writer == generation, stream.ring != nil, watcher.isContent {
            admit(stream, watcher)
            return
        }
        watcher.isAsking = true
        let parameters: JSONValue = ["name": .string(stream.name), "request": watcher.request]
        submit(CallTicket(.open(stream, watcher), method: StreamCall.open, parameters: parameters))
    }

    func refuse(_ stream: ManagedStream, _ watcher: StreamWatcher, _ error: CallError) {
        watcher.call.fail(error)
        leave(stream, watcher)
    }

    /// Ends one program's watching; the others' goes on.
    func cutOff(_ stream: ManagedStream, _ watcher: StreamWatcher, _ why: String) {
        if watcher.hasRing || watcher.wasToldAbsent {
            tell(stream, watcher, .ended(why))
        } else {
            watcher.call.fail(CallError("NotPermitted", why))
        }
        leave(stream, watcher)
    }

    private func leave(_ stream: ManagedStream, _ watcher: StreamWatcher) {
        watcher.limit.lift()
        stream.watchers.removeAll { $0 === watcher }
        stream.stopReporting(watcher)
        if let newest = stream.newest, watcher.rings.newest >= newest.number { stream.hasLeaver = true }
        closeIfUnwatched(stream)
        changeRing(of: stream)
        if watcher.hasRing, streams[stream.name] === stream { save() }
    }

    func closeIfUnwatched(_ stream: ManagedStream) {
        guard stream.watchers.isEmpty, streams[stream.name] === stream, !isLeftToSuccessor else { return }
        streams[stream.name] = nil
        // A driver that was asked to open it may be about to.
        let wasAsked = tickets.contains { if case .open(let other, _) = $0.purpose { other === stream } else { false } }
        if stream.isOpen || stream.ring != nil || wasAsked, state == .running {
            submitClose(stream.name)
        }
        closeRings(of: stream)
        save()
    }

    private func submitClose(_ name: String) {
        submit(CallTicket(.close(name), method: StreamCall.close, parameters: ["name": .string(name)]))
    }

    /// The driver has answered `openStream`. No watcher: the stream was carried over from an incarnation before.
    func opened(_ stream: ManagedStream, _ watcher: StreamWatcher?, _ reply: DriverReply) {
        watcher?.isAsking = false
        // All who watched may have left meanwhile: then `close` is on its way.
        guard streams[stream.name] === stream else { return }
        if let error = reply.error {
            if error.code == "DeviceError" { trouble = .refused(error.bounded) }
            if let watcher {
                if !watcher.call.isFinished { refuse(stream, watcher, error) }
            } else {
                end(stream, "The driver can't resume the stream: \(error.message)")
            }
            return
        }
        guard stream.ring != nil, stream.writer == generation else {
            let error = CallError("DeviceError", "The driver opened the stream without a ring for its frames.")
            if let watcher { refuse(stream, watcher, error) } else { end(stream, error.message) }
            return
        }
        if case .refused = trouble { trouble = nil }
        stream.isOpen = true
        if stream.request == nil {
            stream.request = watcher?.request ?? .object([:])
            stream.requestBytes = watcher?.requestBytes ?? 2
        }
        incarnation?.watchProgress()
        if let watcher, !watcher.call.isFinished, !watcher.hasRing { admit(stream, watcher) }
        changeRing(of: stream)
    }

    private func end(_ stream: ManagedStream, _ why: String) {
        streams[stream.name] = nil
        for watcher in stream.watchers {
            watcher.limit.lift()
            if watcher.hasRing || watcher.wasToldAbsent {
                tell(stream, watcher, .ended(why))
            } else {
                watcher.call.fail(CallError("DeviceError", why))
            }
        }
        stream.watchers = []
        closeRings(of: stream)
        save()
    }

    // MARK: What the driver says

    func ringClosed(_ name: String, _ reason: String) {
        guard let stream = streams[name], stream.isOpen else { return }
        asked.remove(name)
        end(stream, reason)
    }

    func note(_ statistics: DriverStatistics) {
        if case .object? = statistics.shown, let value = statistics.shown, value.encodedByteCount <= limits.descriptionBytes {
            shown = value
        } else {
            shown = nil
        }
        for (name, stream) in streams {
            guard let figures = statistics.streams[name] else { continue }
            if figures.frames > stream.statistics.frames { trouble = nil }
            stream.statistics = figures
        }
    }

    /// Streams that somebody watches, with what they were opened with: for a driver that starts.
    func openStreams() -> [String: JSONValue] {
        streams.filter { $0.value.isOpen }.mapValues { $0.request ?? .object([:]) }
    }

    // MARK: What happens to the device

    func streamsAreReady() {
        for stream in streams.values {
            if stream.isOpen, stream.writer != generation {
                // The driver has not taken it up by itself.
                let parameters: JSONValue = ["name": .string(stream.name), "request": stream.request ?? .object([:])]
                submit(CallTicket(.open(stream, nil), method: StreamCall.open, parameters: parameters))
            }
            for watcher in stream.watchers { ask(stream, watcher) }
            changeRing(of: stream)
        }
        // Everybody may have left while it started.
        for name in asked where streams[name] == nil { submitClose(name) }
        incarnation?.watchProgress()
    }

    func streamsLostDevice(_ why: String) {
        for stream in streams.values {
            for watcher in stream.watchers where !watcher.wasToldAbsent {
                watcher.limit.lift()
                watcher.wasToldAbsent = true
                tell(stream, watcher, .absent(why))
            }
        }
    }

    func streamsHaveFailed(_ why: String) {
        for stream in streams.values {
            for watcher in stream.watchers {
                if watcher.hasRing || watcher.wasToldAbsent {
                    tell(stream, watcher, .failed(why))
                } else {
                    refuse(stream, watcher, CallError("DeviceUnavailable", why))
                }
            }
        }
    }

    func endStreams(_ why: String) {
        for stream in streams.values { end(stream, why) }
    }

    func tellViewers(_ event: WatchEvent) {
        for stream in streams.values {
            for watcher in stream.viewers { tell(stream, watcher, event) }
        }
    }

    /// - Parameter follows: the ring that comes with it is the upcoming one, in which the stream will go on.
    func tell(_ stream: ManagedStream, _ watcher: StreamWatcher, _ event: WatchEvent, follows: Bool = false) {
        var parameters: [String: JSONValue] = [
            "event": .string(event.name), "device": .string(id), "generation": .int(Int64(generation)), "restarts": .int(Int64(restarts)),
        ]
        if let message = event.message { parameters["message"] = .string(message) }
        var descriptors = OwnedDescriptors()
        if event.carriesRing, let ring = follows ? stream.upcoming : stream.ring(for: watcher) {
            do {
                descriptors.append(try ring.memory.readOnlyDescriptor())
            } catch {
                watcher.call.fail(CallError("DeviceError", "The frame ring can't be passed on: \(error)."))
                leave(stream, watcher)
                return
            }
            watcher.got(ring: ring.number)
            let geometry = ring.memory.geometry
            var facts: [String: JSONValue] = ["capacity": .int(Int64(geometry.capacity)), "slotCount": .int(Int64(geometry.slotCount))]
            // One that can't be handed out says nothing, and costs nobody a frame.
            if let report = ring.reports[watcher.number], let page = OwnedDescriptor(duplicating: report.descriptor) {
                descriptors.append(page)
                facts["report"] = true
            }
            parameters["ring"] = .object(facts)
            if follows { parameters["follows"] = true }
        }
        if event.carriesRing, case .object = stream.description { parameters["description"] = stream.description }
        watcher.call.reply(VarlinkReply(.object(parameters), continues: !event.isLast), descriptors: descriptors.numbers)
    }
}

extension JSONValue {
    /// Bytes as JSON; what can't be written is larger than anything.
    var encodedByteCount: Int {
        do {
            return try JSON.encode(self).count
        } catch {
            return .max
        }
    }

    /// As JSON, for a person; a value that can't be written is told by its kind.
    var text: String {
        do {
            return String(decoding: try JSON.encode(self), as: UTF8.self)
        } catch {
            return "(no JSON)"
        }
    }
}
