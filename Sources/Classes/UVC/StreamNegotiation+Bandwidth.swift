// What a stream can be instead where the bus has no room for it.
public import USB

extension StreamNegotiation {
    /// Questions to the device at most: each is a negotiation of its own.
    private static let questionLimit = 12
    /// Offers that a message names.
    private static let offerLimit = 3

    /// What meets the wish in place of a stream whose alternate setting, or the transfers of it, were
    /// refused: `dwMaxPayloadTransferSize` is binding, so that the same stream can't do with less, but
    /// one of a lower rate, a smaller size or another format may. Nothing is committed, and the
    /// interface is idle.
    ///
    /// Throws `noBandwidth`, with what fits, where the wish leaves nothing open that would; `refusal`
    /// where no smaller setting can be had either.
    ///
    /// - Parameter carries: whether the bus takes transfers of an alternate setting, which is selected.
    ///   Left out: where it can be selected.
    public func narrower(
        than stream: NegotiatedStream, meeting wish: StreamWish, refusal: USBError,
        carries: @Sendable (StreamingAlternateSetting) async -> Bool = { _ in true }
    ) async throws(USBError) -> StreamChoice {
        guard let refused = stream.alternateSetting, let limit = try await largestSetting(below: refused.bytesPerInterval, carries) else {
            throw refusal
        }
        var fitting: [StreamChoice] = []
        var found: Set<Substitute> = []
        var questions = 0
        for (choice, substitute) in candidates(for: stream.choice, meeting: wish, within: limit) where questions < Self.questionLimit {
            if found.contains(substitute), !interface.meets(choice, wish) { continue }
            questions += 1
            guard let offer = try await offered(choice), (offer.alternateSetting?.bytesPerInterval ?? 0) <= limit else { continue }
            if interface.meets(choice, wish) { return choice }
            fitting.append(choice)
            found.insert(substitute)
            if fitting.count == Self.offerLimit { break }
        }
        let slot = device.information.speed.slotNanoseconds == 125_000 ? "microframe" : "frame"
        let fits = fitting.isEmpty ? "nothing that it offers fits" : "these fit: " + fitting.map(\.description).joined(separator: ", ")
        throw USBError(
            .noBandwidth, operation: stream.choice.description,
            detail: "it takes \(refused.bytesPerInterval) bytes of each \(slot), and \(limit) are available; \(fits)")
    }

    /// Bytes of the largest alternate setting below, that can be had now. `nil` for none.
    private func largestSetting(
        below bytes: Int, _ carries: @Sendable (StreamingAlternateSetting) async -> Bool
    ) async throws(USBError) -> Int? {
        let smaller = interface.alternateSettings.filter { $0.type == .isochronous && (1..<bytes).contains($0.bytesPerInterval) }
        for setting in smaller.sorted(by: { $0.bytesPerInterval > $1.bytesPerInterval }) {
            guard try await select(setting) else { continue }
            let fits = await carries(setting)
            try await device.setAlternateSetting(interface: interface.number, to: 0)
            if fits { return setting.bytesPerInterval }
        }
        return nil
    }

    /// False if it is refused.
    private func select(_ setting: StreamingAlternateSetting) async throws(USBError) -> Bool {
        do throws(USBError) {
            try await device.setAlternateSetting(interface: interface.number, to: setting.number)
        } catch {
            guard error.code == .stall || error.code == .noBandwidth else { throw error }
            return false
        }
        return true
    }

    /// How an offer differs from what was asked for, the least first.
    private enum Substitute: Int, Comparable {
        case format, rate, size, several
        static func < (a: Substitute, b: Substitute) -> Bool { a.rawValue < b.rawValue }
    }

    /// What may fit: what meets the wish first, then by how little it differs.
    private func candidates(
        for choice: StreamChoice, meeting wish: StreamWish, within limit: Int
    ) -> [(choice: StreamChoice, substitute: Substitute)] {
        var candidates: [(choice: StreamChoice, substitute: Substitute, meets: Bool)] = []
        let area = choice.frame.width * choice.frame.height
        for format in interface.formats where format.pixelFormat != nil || format.index == choice.format.index {
            for frame in format.frames where frame.width * frame.height <= area {
                for interval in frame.intervals.samples where interval >= choice.interval && interval <= 10_000_000 {
                    let offer = StreamChoice(format: format, frame: frame, interval: interval)
                    guard offer != choice, leastPayload(offer) <= limit else { continue }
                    let differences = [
                        format.index != choice.format.index, interval.isAbove(choice.interval), frame.width * frame.height < area,
                    ]
                    let substitute: Substitute =
                        switch differences {
                        case [true, false, false]: .format
                        case [false, true, false]: .rate
                        case [false, false, true]: .size
                        default: .several
                        }
                    candidates.append((offer, substitute, interface.meets(offer, wish)))
                }
            }
        }
        func order(_ a: (choice: StreamChoice, substitute: Substitute, meets: Bool)) -> (Int, Int, Int, UInt32) {
            (a.meets ? 0 : 1, a.substitute.rawValue, -a.choice.frame.width * a.choice.frame.height, a.choice.interval)
        }
        return candidates.sorted { order($0) < order($1) }.map { ($0.choice, $0.substitute) }
    }

    /// Bytes of each service interval that a stream can't do without; 0 if they are a matter of compression.
    private func leastPayload(_ choice: StreamChoice) -> Int {
        guard let bytes = choice.format.frameBytes(width: choice.frame.width, height: choice.frame.height) else { return 0 }
        let slots = UInt64(max(choice.interval, 1)) * 100 / max(device.information.speed.slotNanoseconds, 1)
        return bytes / Int(max(slots, 1))
    }
}

extension StreamingInterface {
    /// Whether a choice is one that the wish allows.
    func meets(_ choice: StreamChoice, _ wish: StreamWish) -> Bool {
        guard wish.width.map({ $0 == choice.frame.width }) ?? true, wish.height.map({ $0 == choice.frame.height }) ?? true else {
            return false
        }
        guard wish.format.map(choice.format.isNamed) ?? true else { return false }
        guard let rate = wish.rate else { return true }
        return abs(choice.rate - rate) <= rate / 100
    }
}

extension FrameIntervals {
    /// All of them, or the usual ones of a range.
    fileprivate var samples: [UInt32] {
        switch self {
        case .discrete(let list): Array(Set(list).sorted().prefix(32))
        case .continuous(let minimum, let maximum, _):
            Array(Set([minimum, 166_666, 333_333, 400_000, 666_666, 1_000_000, 2_000_000, maximum].map(nearest)).sorted())
                .filter { (minimum...maximum).contains($0) }
        }
    }
}

extension UInt32 {
    /// By more than one per cent, which is no other rate.
    fileprivate func isAbove(_ interval: UInt32) -> Bool { UInt64(self) * 100 > UInt64(interval) * 101 }
}
