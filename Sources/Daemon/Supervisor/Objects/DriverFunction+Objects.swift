// A device's driver, as far as objects go.

import Wire

extension DriverFunction {
    /// What the driver says of objects.
    func objectWord(_ word: ObjectWord) {
        guard let incarnation, incarnation.wasGivenDevice else { return }
        let objects = dependencies.objects
        let desk = objects.desk(id, ObjectIdentifier(incarnation)) { [weak incarnation] order, descriptors in
            incarnation?.send(.object(order), descriptors: descriptors)
        }
        if case .jobs = word { return objects.take(word, from: desk) }
        // Two that write an object would be one too many.
        afterHandover { [weak self, weak incarnation] in
            guard let self, let incarnation, self.incarnation === incarnation else { return }
            let before = desk.commits
            objects.take(word, from: desk)
            // A device that delivers is never given up.
            if before == 0, desk.commits > 0 { self.forgetDeaths() }
        }
    }

    /// The driver has ended: what it had begun is its successor's to go on with.
    func objectsLostDriver() { dependencies.objects.driverEnded(id) }

    /// A driver runs.
    func objectsGotDriver() { dependencies.objects.driverStarted(id) }
}
